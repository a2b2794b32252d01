-- Rows of Bronze before the point from which Kafka is read again: they come along as they are.
{% import 'fields.jinja' as fields -%}
{% set plan = ti.xcom_pull('plan') -%}
{% set common = 'kafka_partition, kafka_offset, ingested_at, mends' -%}
{% for table, columns in [
    ('raw_trips', '`' ~ fields.source_fields | join('`, `') ~ '`, ' ~ common),
    ('rejected_events', 'payload, reason, ' ~ common),
] %}
INSERT INTO iceberg_catalog.bronze_replay_{{ plan.id }}.{{ table }} ({{ columns }})
SELECT {{ columns }} FROM iceberg_catalog.bronze.{{ table }}
WHERE
    FALSE
    {%- for partition, offset in plan.start.items() %}
    OR (kafka_partition = {{ partition }} AND kafka_offset < {{ offset }})
    {%- endfor %};
{% endfor %}
