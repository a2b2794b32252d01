{{ config(materialized="incremental", incremental_strategy="append", on_schema_change="append_new_columns") }}

-- Every event of Silver, once, also one that arrives late. The staged events overlap with those of earlier runs: an
-- event that is here already, by its position in the topic, is left out.
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
{% if is_incremental() -%}
    where not exists (
        select 1
        from {{ this }} as loaded
        where
            loaded.kafka_partition = staged.kafka_partition
            and loaded.kafka_offset = staged.kafka_offset
            and loaded.processed_at >= (
                select min(earliest.processed_at) from {{ ref("stg_[[ name ]]") }} as earliest
            )
    )
{%- endif %}
