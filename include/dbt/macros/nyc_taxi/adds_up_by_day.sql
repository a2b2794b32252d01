{# For each day with trips staged in this run, `value` equals `expected` over all trips of that day. #}
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
