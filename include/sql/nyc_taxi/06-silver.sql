-- Silver: every Bronze row becomes one row: a typed trip, a rejected row with its reason, or a duplicate with its position.
{% import 'macros/fields.jinja' as fields %}
{% import 'macros/tables.jinja' as tables %}
{% import 'macros/calendar.jinja' as calendar %}
{% set pickup = fields.parsed_name(contract['tpep_pickup_datetime']) %}
{% set dropoff = fields.parsed_name(contract['tpep_dropoff_datetime']) %}
{% set distance = fields.parsed_name(contract['trip_distance']) %}
{% set fare = fields.parsed_name(contract['fare_amount']) %}
{# Fields with rules of their own below; the others are judged by their type. #}
{% set with_own_rules = ['tpep_pickup_datetime', 'tpep_dropoff_datetime', 'trip_distance'] %}

CREATE TABLE IF NOT EXISTS {{ sinks.accepted }} (
    trip_id STRING,
    {{- fields.typed_columns(contract.fields) }},
    trip_duration_minutes DOUBLE,
    pickup_date DATE,
    pickup_hour INT,
    {{ tables.position() }},
    processed_at TIMESTAMP_LTZ(6)
) PARTITIONED BY (pickup_date) WITH ({{ tables.options() }}
);

CREATE TABLE IF NOT EXISTS {{ sinks.rejected }} (
    {{- fields.text_columns(contract.fields) }},
    reason STRING,
    {{ tables.position() }},
    processed_at TIMESTAMP_LTZ(6)
) WITH ({{ tables.options() }}
);

-- One row for each duplicate that is dropped, so that the ledger adds up without counting anything twice.
CREATE TABLE IF NOT EXISTS {{ sinks.duplicate }} (
    trip_id STRING,
    {{ tables.position() }},
    processed_at TIMESTAMP_LTZ(6)
) WITH ({{ tables.options() }}
);

-- How long a trip_id is remembered to recognise its duplicates.
SET 'table.exec.state.ttl' = '{{ params.dedup_retention }}';

CREATE TEMPORARY VIEW parsed_trips AS
SELECT
    *,
    {{- fields.parsed(contract.fields) }}
FROM {{ source }}
    {{ tables.stream() }};

CREATE TEMPORARY VIEW judged_trips AS
SELECT
    *,
    CASE
        {{ fields.missing(contract['tpep_pickup_datetime']) }}
        {{ fields.missing(contract['tpep_dropoff_datetime']) }}
        WHEN {{ pickup }} < TIMESTAMP '{{ params.pickup_from }}' OR {{ pickup }} >= TIMESTAMP '{{ params.pickup_to }}'
            THEN 'tpep_pickup_datetime is outside the window'
        {{ fields.missing(contract['trip_distance']) }}
        WHEN NOT ({{ distance }} >= 0 AND {{ distance }} < 1e9) THEN 'trip_distance is negative or not finite'
        {{ fields.missing(contract['fare_amount']) }}
        WHEN {{ fare }} < 0 THEN 'fare_amount is negative'
        {% for field in contract.fields | sort(attribute='type') if field.name not in with_own_rules %}
        {{ fields.misfit(field) }}
        {% endfor %}
    END AS reason
FROM parsed_trips;

CREATE TEMPORARY VIEW typed_trips AS
SELECT
    kafka_partition,
    kafka_offset
    {%- for field in contract.fields %},
    {{ fields.value(field) }} AS `{{ field.column }}`
    {%- endfor %}

FROM judged_trips
WHERE reason IS NULL;

-- The n-th time that a trip_id arrives: the first is the trip, the others are duplicates.
CREATE TEMPORARY VIEW counted_trips AS
SELECT *, COUNT(*) OVER (PARTITION BY trip_id ORDER BY arrival ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS occurrence
FROM (
    SELECT
        *,
        PROCTIME() AS arrival,
        MD5(CONCAT_WS('|',
            COALESCE(CAST(vendor_id AS STRING), ''),
            DATE_FORMAT(pickup_datetime, 'yyyy-MM-dd HH:mm:ss'),
            DATE_FORMAT(dropoff_datetime, 'yyyy-MM-dd HH:mm:ss'),
            COALESCE(CAST(pickup_location_id AS STRING), ''),
            COALESCE(CAST(dropoff_location_id AS STRING), ''),
            CAST(fare_amount AS STRING),
            COALESCE(CAST(total_amount AS STRING), '')
        )) AS trip_id
    FROM typed_trips
);

EXECUTE STATEMENT SET
BEGIN

INSERT INTO {{ sinks.accepted }} (
    trip_id, {{ fields.columns(contract.fields) }},
    trip_duration_minutes, pickup_date, pickup_hour, kafka_partition, kafka_offset, processed_at
)
SELECT
    trip_id,
    {{ fields.columns(contract.fields) }},
    ROUND({{ calendar.minutes_between('pickup_datetime', 'dropoff_datetime') }}, 2),
    {{ calendar.date_of('pickup_datetime') }},
    {{ calendar.hour_of('pickup_datetime') }},
    kafka_partition,
    kafka_offset,
    CURRENT_TIMESTAMP
FROM counted_trips
WHERE occurrence = 1;

INSERT INTO {{ sinks.duplicate }} (trip_id, kafka_partition, kafka_offset, processed_at)
SELECT trip_id, kafka_partition, kafka_offset, CURRENT_TIMESTAMP
FROM counted_trips
WHERE occurrence > 1;

INSERT INTO {{ sinks.rejected }} ({{ fields.names(contract.fields) }}, reason, kafka_partition, kafka_offset, processed_at)
SELECT {{ fields.names(contract.fields) }}, reason, kafka_partition, kafka_offset, CURRENT_TIMESTAMP
FROM judged_trips
WHERE reason IS NOT NULL;

END;
