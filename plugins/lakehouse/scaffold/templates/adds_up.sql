-- The mart's daily sums add up to the sums over all events, except for the last digits, because sums of floating-point
-- numbers depend on the order of the rows.
{%- set measures = [
[% for column in measures %]
    "[[ column ]]",
[% endfor %]
] %}

with by_day as (
    {% for measure in measures %}
        select
            '{{ measure }}' as measure,
            cast(sum({{ measure }}_sum) as double) as total
        from {{ ref("mart_[[ name ]]_daily") }}
        {{ "" if loop.last else "union all" }}
    {% endfor %}
),

overall as (
    {% for measure in measures %}
        select
            '{{ measure }}' as measure,
            cast(sum({{ adapter.quote(measure) }}) as double) as total
        from {{ ref("fct_[[ name ]]") }}
        {{ "" if loop.last else "union all" }}
    {% endfor %}
)

select
    measure,
    by_day.total as total_of_days,
    overall.total as total_of_events
from by_day
inner join overall using (measure)
where
    (by_day.total is null) <> (overall.total is null)
    or abs(by_day.total - overall.total) > 1e-9 * greatest(1, abs(overall.total))
