{{ config(unique_key="[[ day ]]", contract={"enforced": false}) }}

-- One row per day. Days that got events since the last build are rebuilt completely, so late events count.
[% if measures %]
{%- set measures = [
[% for column in measures %]
    "[[ column ]]",
[% endfor %]
] %}
[% endif %]
[% if nullable %]
{%- set nullable = [
[% for column in nullable %]
    "[[ column ]]",
[% endfor %]
] %}
[% endif %]

with changed as (
    select distinct [[ day ]]
    from {{ ref("fct_[[ name ]]") }}
    where {{ arrived_since_newest(this if is_incremental() else none, "last_processed_at") }}
)

select
    [[ day ]],
    count(*) as event_count,
[% if measures %]
    {%- for measure in measures %}
        sum({{ adapter.quote(measure) }}) as {{ measure }}_sum,
        avg({{ adapter.quote(measure) }}) as {{ measure }}_avg,
        min({{ adapter.quote(measure) }}) as {{ measure }}_min,
        max({{ adapter.quote(measure) }}) as {{ measure }}_max,
    {%- endfor %}
[% endif %]
[% if nullable %]
    {%- for column in nullable %}
        count(*) - count({{ adapter.quote(column) }}) as {{ column }}_nulls,
    {%- endfor %}
[% endif %]
    max(processed_at) as last_processed_at
from {{ ref("fct_[[ name ]]") }}
where [[ day ]] in (select changed.[[ day ]] from changed)
group by [[ day ]]
