{{ config(materialized="table") }}

-- The events of this run: what arrived in Silver since the newest event of the fact, with some overlap. Silver is read
-- here and nowhere else. The fact is looked up, not referenced: it is built from this very table.
{%- set fact = adapter.get_relation(this.database, target.schema, "fct_[[ name ]]") %}

select
[% for column in columns %]
    [[ column | sql ]],
[% endfor %]
    kafka_partition,
    kafka_offset,
    processed_at
from {{ source("silver", "[[ name ]]") }}
where {{ arrived_since_newest(fact, "processed_at") }}
