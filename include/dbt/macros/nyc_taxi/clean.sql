{# Totals are over all trips. Averages are over clean ones: a single reading of 100,000 miles would move the mean of a day.
   `of` narrows the trips down further; NULL when there is none. #}
{% macro average_of_clean(value, of=none) -%}
    {%- set clean = "is_clean and " ~ of if of else "is_clean" -%}
    {{ ratio(total(value, clean), "count(*) filter (where " ~ clean ~ ")") }}
{%- endmacro %}
