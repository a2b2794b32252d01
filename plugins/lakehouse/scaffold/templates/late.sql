{{ config(materialized="incremental", incremental_strategy="append", on_schema_change="fail") }}

-- The rows of Silver that are not in fct_[[ name ]] because their event had arrived before.
{{ late_duplicates(ref("stg_[[ name ]]"), "[[ event_key ]]", "fct_[[ name ]]") }}
