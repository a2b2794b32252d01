-- Bronze: every Kafka offset becomes one row, either a trip event as it came or a rejected payload with its reason.
{% import 'fields.jinja' as fields -%}

{# Both tables ask the same question of the same bytes: no event can be in both or in neither. -#}
{% macro judged(events) -%}
{{ events }}, LATERAL TABLE(json_object_fields(payload, '{{ fields.source_fields | join("', '") }}'))
{%- endmacro -%}

EXECUTE STATEMENT SET
BEGIN

INSERT INTO iceberg_catalog.bronze.raw_trips (`{{ fields.source_fields | join('`, `') }}`, ingested_at, kafka_partition, kafka_offset, mends)
SELECT `{{ fields.source_fields | join('`, `') }}`, CURRENT_TIMESTAMP, kafka_partition, kafka_offset, DECODE(headers['mends'], 'UTF-8')
FROM {{ judged('trip_events') }}
WHERE reason IS NULL;

INSERT INTO iceberg_catalog.bronze.rejected_events (payload, reason, kafka_partition, kafka_offset, ingested_at, mends)
SELECT payload, reason, kafka_partition, kafka_offset, CURRENT_TIMESTAMP, DECODE(headers['mends'], 'UTF-8')
FROM {{ judged('trip_payloads') }}
WHERE reason IS NOT NULL;

END;
