-- Bronze: every Kafka offset becomes one row, either a trip event as it came or a rejected payload with its reason.
{% set source_fields = ['VendorID', 'tpep_pickup_datetime', 'tpep_dropoff_datetime', 'passenger_count', 'trip_distance',
                        'RatecodeID', 'store_and_fwd_flag', 'PULocationID', 'DOLocationID', 'payment_type', 'fare_amount',
                        'extra', 'mta_tax', 'tip_amount', 'tolls_amount', 'improvement_surcharge', 'total_amount',
                        'congestion_surcharge', 'Airport_fee'] -%}

{# Both tables ask the same question of the same bytes: no event can be in both or in neither. -#}
{% macro judged(events) -%}
{{ events }}, LATERAL TABLE(json_object_fields(payload, '{{ source_fields | join("', '") }}'))
{%- endmacro -%}

EXECUTE STATEMENT SET
BEGIN

INSERT INTO iceberg_catalog.bronze.raw_trips
SELECT `{{ source_fields | join('`, `') }}`, CURRENT_TIMESTAMP, kafka_partition, kafka_offset, DECODE(headers['mends'], 'UTF-8')
FROM {{ judged('trip_events') }}
WHERE reason IS NULL;

INSERT INTO iceberg_catalog.bronze.rejected_events
SELECT payload, reason, kafka_partition, kafka_offset, CURRENT_TIMESTAMP, DECODE(headers['mends'], 'UTF-8')
FROM {{ judged('trip_payloads') }}
WHERE reason IS NOT NULL;

END;
