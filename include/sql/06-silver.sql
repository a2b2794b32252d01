-- Silver: every Bronze row becomes one row: a typed trip, a rejected row with its reason, or a duplicate with its position.
{% import 'fields.jinja' as fields -%}
{% import 'calendar.jinja' as calendar -%}

-- How long a trip_id is remembered to recognise its duplicates.
SET 'table.exec.state.ttl' = '{{ var.value.dedup_retention }}';

CREATE TEMPORARY VIEW parsed_trips AS
SELECT
    *,
    iso_timestamp(tpep_pickup_datetime) AS pickup_datetime,
    iso_timestamp(tpep_dropoff_datetime) AS dropoff_datetime
    {%- for field in fields.codes + ['trip_distance'] + fields.amounts %},
    json_number(`{{ field }}`) AS `{{ field }}_number`
    {%- endfor %}
FROM iceberg_catalog.bronze.raw_trips
    /*+ OPTIONS('streaming' = 'true', 'monitor-interval' = '1s', 'starting-strategy' = 'TABLE_SCAN_THEN_INCREMENTAL') */;

-- The range is looked at before any cast to DECIMAL or INT: a cast of Infinity or NaN throws, and the job would restart for ever.
CREATE TEMPORARY VIEW judged_trips AS
SELECT
    *,
    CASE
        WHEN pickup_datetime IS NULL THEN 'tpep_pickup_datetime is missing or unreadable'
        WHEN dropoff_datetime IS NULL THEN 'tpep_dropoff_datetime is missing or unreadable'
        WHEN pickup_datetime < TIMESTAMP '{{ var.value.pickup_from }}'
            OR pickup_datetime >= TIMESTAMP '{{ var.value.pickup_to }}' THEN 'tpep_pickup_datetime is outside the window'
        WHEN `trip_distance_number` IS NULL THEN 'trip_distance is missing or not a number'
        WHEN NOT (`trip_distance_number` >= 0 AND `trip_distance_number` < 1e9) THEN 'trip_distance is negative or not finite'
        WHEN `fare_amount_number` IS NULL THEN 'fare_amount is missing or not a number'
        WHEN `fare_amount_number` < 0 THEN 'fare_amount is negative'
        {%- for field in fields.amounts %}
        WHEN `{{ field }}` IS NOT NULL AND (`{{ field }}_number` IS NULL OR NOT ABS(`{{ field }}_number`) < 99999999.995)
            THEN '{{ field }} does not fit DECIMAL(10,2)'
        {%- endfor %}
        {%- for field in fields.codes %}
        WHEN `{{ field }}` IS NOT NULL AND (
            `{{ field }}_number` IS NULL OR NOT ABS(`{{ field }}_number`) < 2147483648
            OR `{{ field }}_number` <> FLOOR(`{{ field }}_number`)
        ) THEN '{{ field }} is not an integer'
        {%- endfor %}
    END AS reason
FROM parsed_trips;

{# What has passed its judgement, as Silver types it. -#}
{% macro typed(field, column, type) -%}
{% if type == 'INT' %}CAST(`{{ field }}_number` AS INT)
{%- elif type == 'DOUBLE' %}`{{ field }}_number`
{%- elif type == 'STRING' %}`{{ field }}`
{%- elif type == 'TIMESTAMP(6)' %}{{ column }}
{%- else %}CASE WHEN ABS(`{{ field }}_number`) < 99999999.995 THEN CAST(`{{ field }}_number` AS {{ type }}) END{% endif %}
{%- endmacro -%}

CREATE TEMPORARY VIEW typed_trips AS
SELECT
    kafka_partition,
    kafka_offset
    {%- for field, column, type in fields.trip_fields %},
    {{ typed(field, column, type) }} AS {{ column }}
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

INSERT INTO iceberg_catalog.silver.cleaned_trips (
    trip_id, {{ fields.trip_columns | join(', ') }},
    trip_duration_minutes, pickup_date, pickup_hour, kafka_partition, kafka_offset, processed_at
)
SELECT
    trip_id,
    {{ fields.trip_columns | join(', ') }},
    ROUND({{ calendar.minutes_between('pickup_datetime', 'dropoff_datetime') }}, 2),
    {{ calendar.date_of('pickup_datetime') }},
    {{ calendar.hour_of('pickup_datetime') }},
    kafka_partition,
    kafka_offset,
    CURRENT_TIMESTAMP
FROM counted_trips
WHERE occurrence = 1;

INSERT INTO iceberg_catalog.silver.duplicate_trips (trip_id, kafka_partition, kafka_offset, processed_at)
SELECT trip_id, kafka_partition, kafka_offset, CURRENT_TIMESTAMP
FROM counted_trips
WHERE occurrence > 1;

INSERT INTO iceberg_catalog.silver.rejected_trips (
    `{{ fields.source_fields | join('`, `') }}`, reason, kafka_partition, kafka_offset, processed_at
)
SELECT
    `{{ fields.source_fields | join('`, `') }}`, reason, kafka_partition, kafka_offset, CURRENT_TIMESTAMP
FROM judged_trips
WHERE reason IS NOT NULL;

END;
