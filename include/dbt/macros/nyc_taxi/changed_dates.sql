{# The dates that a mart has to rebuild: those whose number of trips differs between int_daily_summary and the mart. Trips are
   only ever added, so an equal count means equal trips. No other state is kept between runs: a mart that missed some runs
   catches up by itself. #}
{% macro changed_dates(held="sum(trip_count)", expected="trip_count") %}
    select days.pickup_date
    from {{ ref("int_daily_summary") }} as days
    {% if is_incremental() -%}
        left join (
            select pickup_date, {{ held }} as trips
            from {{ this }}
            group by pickup_date
        ) as built on days.pickup_date = built.pickup_date
        where days.{{ expected }} <> coalesce(built.trips, 0)
    {%- endif %}
{% endmacro %}
