{{ config(materialized="table") }}

-- The events of this run: what arrived in Silver since the latest event of the fact, with some overlap. Only this model
-- reads Silver. The fact is looked up instead of referenced, because it is built from this model.
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
