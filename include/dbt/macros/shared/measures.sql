{# Sums of decimals do not depend on the order of the rows, those of doubles do: with them a full refresh would differ
   from incremental runs in the last digit. Values that do not fit (infinite, or 16 digits) are left out. #}
{% macro exact(column) %}try_cast({{ column }} as decimal(18, 2)){% endmacro %}

{# The sum as an amount, of the rows that match `where`; 0 if there is none. #}
{% macro total(column, where=none) -%}
    cast(coalesce(sum({{ column }}) {%- if where %} filter (where {{ where }}){% endif %}, 0) as decimal(18, 2))
{%- endmacro %}

{# a / b to two digits; NULL if b is 0. #}
{% macro ratio(a, b) %}round({{ a }} / nullif({{ b }}, 0), 2){% endmacro %}

{# a as a percentage of b to two digits. #}
{% macro percent(a, b) %}round(100 * {{ a }} / nullif({{ b }}, 0), 2){% endmacro %}
