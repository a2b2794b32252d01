{# Marts are in `main`; the models that they are built from are in the schemas staging and intermediate. #}
{% macro generate_schema_name(custom_schema_name, node) %}
    {{- custom_schema_name or target.schema -}}
{% endmacro %}
