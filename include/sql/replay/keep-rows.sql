-- Rows of Bronze before the point from which Kafka is read again: they come along as they are.
{% set plan = ti.xcom_pull('plan') %}
{% for table in ['raw_trips', 'rejected_events'] %}
INSERT INTO iceberg_catalog.bronze_replay_{{ plan.id }}.{{ table }}
SELECT * FROM iceberg_catalog.bronze.{{ table }}
WHERE
    FALSE
    {%- for partition, offset in plan.start.items() %}
    OR (kafka_partition = {{ partition }} AND kafka_offset < {{ offset }})
    {%- endfor %};
{% endfor %}
