{# Totals are over all trips. Averages are over clean ones: a single reading of 100,000 miles would move the mean of a day.
   `of` is an additional filter; NULL if no trip matches. #}
{% macro average_of_clean(value, of=none) -%}
    {%- set clean = "is_clean and " ~ of if of else "is_clean" -%}
    {{ ratio(total(value, clean), "count(*) filter (where " ~ clean ~ ")") }}
{%- endmacro %}
