{{ config(materialized="incremental", incremental_strategy="append", on_schema_change="fail") }}

-- The rows of Silver that are not in fct_trips, because their trip had arrived before.
{{ late_duplicates(ref("stg_trips"), "trip_id", "fct_trips", also=["pickup_date"]) }}
