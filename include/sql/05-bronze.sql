-- Bronze, for any contract: every Kafka offset becomes one row, either an event or a rejected payload with its reason.
{% import 'macros/fields.jinja' as fields %}
{% import 'macros/tables.jinja' as tables %}

-- Fields are stored as the original text. Both tables are partitioned by Kafka partition, so that rows can be counted by partition
-- from the table's metadata. `mends` is the rejected event (partition:offset) that an event was sent to correct.
CREATE TABLE IF NOT EXISTS {{ sinks.accepted }} (
    {{- fields.text_columns(contract.fields) }},
    ingested_at TIMESTAMP_LTZ(6),
    {{ tables.position() }},
    mends STRING
) PARTITIONED BY (kafka_partition) WITH ({{ tables.options() }}
);

CREATE TABLE IF NOT EXISTS {{ sinks.rejected }} (
    payload BYTES,
    reason STRING,
    {{ tables.position() }},
    ingested_at TIMESTAMP_LTZ(6),
    mends STRING
) PARTITIONED BY (kafka_partition) WITH ({{ tables.options() }}
);

-- The topic as bytes, because a format would drop events that it cannot parse; once for each sink, so that each can start after its
-- own last row.
{% for role in sinks %}
CREATE TABLE topic_{{ role }} (
    payload BYTES,
    kafka_partition INT METADATA FROM 'partition' VIRTUAL,
    kafka_offset BIGINT METADATA FROM 'offset' VIRTUAL,
    headers MAP<STRING, BYTES> METADATA VIRTUAL
) WITH (
    'connector' = 'kafka',
    'topic' = {{ pipeline.topic.name | literal }},
    {%- for option, value in conn.kafka_flink.extra_dejson.items() %}
    {{ ('properties.' ~ option) | literal }} = {{ value | literal }},
    {%- endfor %}
    'properties.group.id' = {{ (group ~ ('' if loop.first else '-' ~ role)) | literal }},
    'properties.auto.offset.reset' = 'none',
    'properties.isolation.level' = 'read_committed',
    'scan.startup.mode' = 'earliest-offset',
    'format' = 'raw'
);
{% endfor %}

{# Both sinks apply the same condition to the same bytes: no event can be in both or in neither. #}
{% macro judged(events) -%}
{{ events }}, LATERAL TABLE(json_object_fields(payload, '{{ contract.names | join("', '") }}'))
{%- endmacro %}

EXECUTE STATEMENT SET
BEGIN

INSERT INTO {{ sinks.accepted }} ({{ fields.names(contract.fields) }}, ingested_at, kafka_partition, kafka_offset, mends)
SELECT {{ fields.names(contract.fields) }}, CURRENT_TIMESTAMP, kafka_partition, kafka_offset, DECODE(headers['mends'], 'UTF-8')
FROM {{ judged('topic_accepted') }}
WHERE reason IS NULL;

INSERT INTO {{ sinks.rejected }} (payload, reason, kafka_partition, kafka_offset, ingested_at, mends)
SELECT payload, reason, kafka_partition, kafka_offset, CURRENT_TIMESTAMP, DECODE(headers['mends'], 'UTF-8')
FROM {{ judged('topic_rejected') }}
WHERE reason IS NOT NULL;

END;
