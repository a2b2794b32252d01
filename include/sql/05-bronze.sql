-- Bronze: every Kafka offset becomes one row, either a trip event as it came or a rejected payload with its reason.
{% set source_fields = ['VendorID', 'tpep_pickup_datetime', 'tpep_dropoff_datetime', 'passenger_count', 'trip_distance',
                        'RatecodeID', 'store_and_fwd_flag', 'PULocationID', 'DOLocationID', 'payment_type', 'fare_amount',
                        'extra', 'mta_tax', 'tip_amount', 'tolls_amount', 'improvement_surcharge', 'total_amount',
                        'congestion_surcharge', 'Airport_fee'] -%}

-- Judged once, for both tables: no event can be in both or in neither. The option keeps the planner from judging it for each.
SET 'table.optimizer.reuse-optimize-block-with-digest-enabled' = 'true';

CREATE TEMPORARY VIEW judged_events AS
SELECT
    json_object_fields(payload, '{{ source_fields | join("', '") }}') AS event,
    payload,
    kafka_partition,
    kafka_offset,
    DECODE(headers['mends'], 'UTF-8') AS mends
FROM trip_events;

EXECUTE STATEMENT SET
BEGIN

INSERT INTO iceberg_catalog.bronze.raw_trips
SELECT
    {%- for field in source_fields %}
    e.event.`{{ field }}`,
    {%- endfor %}
    CURRENT_TIMESTAMP,
    kafka_partition,
    kafka_offset,
    mends
FROM judged_events AS e
WHERE e.event.reason IS NULL;

INSERT INTO iceberg_catalog.bronze.rejected_events
SELECT payload, e.event.reason, kafka_partition, kafka_offset, CURRENT_TIMESTAMP, mends
FROM judged_events AS e
WHERE e.event.reason IS NOT NULL;

END;
