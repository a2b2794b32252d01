-- Bronze: every Kafka offset becomes one row, either a trip event as it came or a rejected payload with its reason.
EXECUTE STATEMENT SET
BEGIN

INSERT INTO iceberg_catalog.bronze.raw_trips
SELECT
    `VendorID`, `tpep_pickup_datetime`, `tpep_dropoff_datetime`, `passenger_count`, `trip_distance`, `RatecodeID`,
    `store_and_fwd_flag`, `PULocationID`, `DOLocationID`, `payment_type`, `fare_amount`, `extra`, `mta_tax`,
    `tip_amount`, `tolls_amount`, `improvement_surcharge`, `total_amount`, `congestion_surcharge`, `Airport_fee`,
    CURRENT_TIMESTAMP,
    kafka_partition,
    kafka_offset
FROM trip_events;

INSERT INTO iceberg_catalog.bronze.rejected_events
SELECT payload, reason, kafka_partition, kafka_offset, CURRENT_TIMESTAMP
FROM (
    SELECT
        *,
        CASE
            WHEN payload IS NULL THEN 'no value (tombstone)'
            WHEN CHAR_LENGTH(DECODE(payload, 'ISO-8859-1')) = 0 THEN 'empty value'
            WHEN ENCODE(DECODE(payload, 'UTF-8'), 'UTF-8') <> payload THEN 'not UTF-8'
            WHEN DECODE(payload, 'UTF-8') IS NOT JSON VALUE THEN 'not JSON'
            WHEN DECODE(payload, 'UTF-8') IS NOT JSON OBJECT THEN 'JSON, but not an object'
        END AS reason
    FROM trip_payloads
)
WHERE reason IS NOT NULL;

END;
