-- Silver: every Bronze row becomes one row: a typed trip, a rejected row with its reason, or a duplicate with its position.
{% import 'macros/calendar.jinja' as calendar %}
{% import 'macros/fields.jinja' as fields %}
{% import 'macros/event_time.jinja' as event_time with context %}
{% import 'macros/silver.jinja' as silver %}

{# Trips with equal values of these are one trip and its duplicates. #}
{% set key %}
MD5(CONCAT_WS('|',
    COALESCE(CAST(vendor_id AS STRING), ''),
    DATE_FORMAT(pickup_datetime, 'yyyy-MM-dd HH:mm:ss'),
    DATE_FORMAT(dropoff_datetime, 'yyyy-MM-dd HH:mm:ss'),
    COALESCE(CAST(pickup_location_id AS STRING), ''),
    COALESCE(CAST(dropoff_location_id AS STRING), ''),
    CAST(fare_amount AS STRING),
    COALESCE(CAST(total_amount AS STRING), '')
))
{%- endset %}
{# Columns in addition to the fields: name, type, value. #}
{% set computed = [
    ('trip_duration_minutes', 'DOUBLE', 'ROUND(' ~ calendar.minutes_between('pickup_datetime', 'dropoff_datetime') ~ ', 2)'),
    ('pickup_date', 'DATE', calendar.date_of('pickup_datetime')),
    ('pickup_hour', 'INT', calendar.hour_of('pickup_datetime')),
    ('partition_watermark', 'TIMESTAMP(6)', event_time.partition_watermark('dropoff_datetime')),
    ('stream_watermark', 'TIMESTAMP(6)', event_time.stream_watermark('dropoff_datetime')),
] %}
{% set pickup = fields.parsed_name(contract['tpep_pickup_datetime']) %}
{% set distance = fields.parsed_name(contract['trip_distance']) %}
{% set fare = fields.parsed_name(contract['fare_amount']) %}
{# Fields with their own rules below; all others only need to be valid for their type. #}
{% set with_own_rules = ['tpep_pickup_datetime', 'tpep_dropoff_datetime', 'trip_distance'] %}

{{ silver.accepted_table(sinks.accepted, 'trip_id', contract.fields, computed, partitioned_by='pickup_date') }};
{{ silver.rejected_table(sinks.rejected, contract.fields) }};
{{ silver.duplicate_table(sinks.duplicate, 'trip_id') }};

SET 'table.exec.state.ttl' = {{ params.dedup_retention | literal }}; -- how long a trip_id is remembered to detect its duplicates

CREATE TEMPORARY VIEW parsed_trips AS
{{ silver.parsed(contract.fields, source) }};

-- The first rule that a trip violates is the reason of its rejection.
CREATE TEMPORARY VIEW judged_trips AS
SELECT *, CASE
    {{ fields.missing(contract['tpep_pickup_datetime']) }}
    {{ fields.missing(contract['tpep_dropoff_datetime']) }}
    WHEN {{ pickup }} < TIMESTAMP {{ params.pickup_from | literal }} OR {{ pickup }} >= TIMESTAMP {{ params.pickup_to | literal }}
        THEN 'tpep_pickup_datetime is outside the window'
    {{ fields.missing(contract['trip_distance']) }}
    WHEN NOT ({{ distance }} >= 0 AND {{ distance }} < 1e9) THEN 'trip_distance is negative or not finite'
    {{ fields.missing(contract['fare_amount']) }}
    WHEN {{ fare }} < 0 THEN 'fare_amount is negative'
    {{ fields.misfits(contract.fields | rejectattr('name', 'in', with_own_rules) | sort(attribute='type')) }}
END AS reason
FROM parsed_trips;

CREATE TEMPORARY VIEW typed_trips AS
{{ silver.typed(contract.fields, 'judged_trips') }};

-- Arrivals of a trip_id are numbered: the first is the trip, the others are duplicates.
CREATE TEMPORARY VIEW counted_trips AS
{{ silver.counted('typed_trips', 'trip_id', key, arrival='arrival') }};

EXECUTE STATEMENT SET
BEGIN

{{ silver.insert_accepted(sinks.accepted, 'trip_id', contract.fields, computed) }}
FROM counted_trips WHERE occurrence = 1;

{{ silver.insert_duplicate(sinks.duplicate, 'trip_id') }}
FROM counted_trips WHERE occurrence > 1;

{{ silver.insert_rejected(sinks.rejected, contract.fields) }}
FROM judged_trips WHERE reason IS NOT NULL;

END;
