{# The generic tests of this project beyond dbt's own four. Each selects the rows that break the rule. #}

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

{# The model gives `value` in total; `to` gives `expected`. #}
{% test totals(model, value, to, expected) %}
    select actual.total as actual, expected.total as expected
    from (select coalesce({{ value }}, 0) as total from {{ model }}) as actual
    cross join (select coalesce({{ expected }}, 0) as total from {{ to }}) as expected
    where actual.total <> expected.total
{% endtest %}

{# For each day that this run staged trips of, `value` is what `expected` gives over the trips of that day. #}
{% test adds_up_by_day(model, value, expected, to, trips="true") %}
    with staged as (select distinct pickup_date from {{ ref("stg_trips") }}),

    actual as (
        select pickup_date, {{ value }} as total
        from {{ model }}
        where pickup_date in (select staged.pickup_date from staged)
        group by pickup_date
    ),

    expected as (
        select pickup_date, {{ expected }} as total
        from {{ to }}
        where pickup_date in (select staged.pickup_date from staged) and {{ trips }}
        group by pickup_date
    )

    select pickup_date, actual.total as actual, expected.total as expected
    from actual
    full join expected using (pickup_date)
    where actual.total is distinct from expected.total
{% endtest %}
