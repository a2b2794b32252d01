{# Generic tests in addition to dbt's own four. Each selects the rows that violate the rule. #}

{% test holds(model, condition) %}
    select * from {{ model }} where not coalesce({{ condition }}, false)
{% endtest %}

{% test in_range(model, column_name, at_least=none, at_most=none) %}
    select {{ column_name }}
    from {{ model }}
    where false
        {%- if at_least is not none %} or {{ column_name }} < {{ at_least }}{% endif %}
        {%- if at_most is not none %} or {{ column_name }} > {{ at_most }}{% endif %}
{% endtest %}

{% test unique_together(model, columns) %}
    select {{ columns | join(", ") }}, count(*) as row_count
    from {{ model }}
    group by all
    having count(*) > 1
{% endtest %}

{# `value` over the model equals `expected` over `to`. #}
{% test totals(model, value, to, expected) %}
    select actual.total as actual, expected.total as expected
    from (select coalesce({{ value }}, 0) as total from {{ model }}) as actual
    cross join (select coalesce({{ expected }}, 0) as total from {{ to }}) as expected
    where actual.total <> expected.total
{% endtest %}

{# If the model has fewer rows than the source, rows became visible later than the overlap allows: build once with a longer
   one (--vars 'arrival_overlap_minutes: 10080'), or with --full-refresh.
   `late_duplicates` is the model of duplicates that arrived late. #}
{% test holds_every_source_row(model, late_duplicates=none) %}
    with expected as ({{ source_row_count() }}),

    actual as (
        select
            (select count(*) from {{ model }})
            {%- if late_duplicates %} + (select count(*) from {{ late_duplicates }}){% endif %} as row_count
    )

    select actual.row_count as in_model, expected.row_count as in_source
    from actual
    cross join expected
    where actual.row_count <> expected.row_count
{% endtest %}
