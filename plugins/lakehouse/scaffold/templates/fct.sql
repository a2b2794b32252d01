{{ config(materialized="incremental", incremental_strategy="append", on_schema_change="append_new_columns") }}

-- Every event of Silver once, including late ones: its first arrival; the others are in late_duplicates. The staged
-- events overlap with those of earlier runs, so events that are already here are left out.
select
[% for column in columns %]
    [[ column | sql ]],
[% endfor %]
[% if not time %]
    cast(processed_at as date) as [[ day ]],
[% endif %]
    kafka_partition,
    kafka_offset,
    processed_at
from {{ ref("stg_[[ name ]]") }} as staged
anti join {{ ref("late_duplicates") }} using (kafka_partition, kafka_offset)
{% if is_incremental() -%}
    where not exists (
        select 1
        from {{ this }} as loaded
        where
            loaded.[[ event_key ]] = staged.[[ event_key ]]
            and loaded.processed_at >= (
                select min(earliest.processed_at) from {{ ref("stg_[[ name ]]") }} as earliest
            )
    )
{%- endif %}
