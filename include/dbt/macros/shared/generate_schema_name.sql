{# Readers find the marts in `main`; what these are made from lies in schemas of its own: staging, intermediate. #}
{% macro generate_schema_name(custom_schema_name, node) %}
    {{- custom_schema_name or target.schema -}}
{% endmacro %}
