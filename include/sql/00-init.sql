-- Names that every Flink session needs: the Iceberg catalog, its tables, and the topic as a table.
-- Safe to run at any moment: all statements are IF NOT EXISTS or live in the session alone. The catalog is Iceberg's own, with
-- procedures for maintenance (flink/src): they ask the jobs' saved states what a table must keep.
{% import 'fields.jinja' as fields -%}
{% set iceberg = conn.iceberg_catalog %}
CREATE CATALOG iceberg_catalog WITH (
    'type' = 'lakehouse',
    'catalog-impl' = 'org.apache.iceberg.jdbc.JdbcCatalog',
    'uri' = 'jdbc:postgresql://{{ iceberg.host }}:{{ iceberg.port }}/{{ iceberg.schema }}',
    'jdbc.user' = '{{ iceberg.login }}',
    'jdbc.password' = '{{ iceberg.password }}',
    'jdbc.schema-version' = 'V1',
    'maintenance.state-dir' = '{{ var.value.flink_state_dir }}'
    {%- for option, value in iceberg.extra_dejson.items() %},
    '{{ option }}' = '{{ value | replace("'", "''") }}'
    {%- endfor %}
);

CREATE DATABASE IF NOT EXISTS iceberg_catalog.bronze;

CREATE DATABASE IF NOT EXISTS iceberg_catalog.silver;

{% set table_options %}
    'format-version' = '2',
    'write.format.default' = 'parquet',
    'write.parquet.compression-codec' = 'zstd',
    'write.metadata.delete-after-commit.enabled' = 'true',
    'write.metadata.previous-versions-max' = '100'
{% endset -%}

-- Each row of each table says which event it came from: its partition and offset in the topic. Bronze is kept by Kafka
-- partition, so that rows can be counted by partition from the table's metadata. There, `mends` names the rejected event
-- (partition:offset) that an event was sent to put right.

-- Source fields stay text, exactly as they came: a number that does not parse is judged in Silver, with a reason,
-- instead of turning into NULL on the way in.
{% set source_fields %}
    {%- for field in fields.source_fields %}
    `{{ field }}` STRING{{ '' if loop.last else ',' }}
    {%- endfor %}
{%- endset -%}

CREATE TABLE IF NOT EXISTS iceberg_catalog.bronze.raw_trips (
    {{- source_fields }},
    ingested_at TIMESTAMP_LTZ(6),
    kafka_partition INT,
    kafka_offset BIGINT,
    mends STRING
) PARTITIONED BY (kafka_partition) WITH ({{ table_options }});

CREATE TABLE IF NOT EXISTS iceberg_catalog.bronze.rejected_events (
    payload BYTES,
    reason STRING,
    kafka_partition INT,
    kafka_offset BIGINT,
    ingested_at TIMESTAMP_LTZ(6),
    mends STRING
) PARTITIONED BY (kafka_partition) WITH ({{ table_options }});

CREATE TABLE IF NOT EXISTS iceberg_catalog.silver.cleaned_trips (
    trip_id STRING,
    {%- for _, column, type in fields.trip_fields %}
    {{ column }} {{ type }},
    {%- endfor %}
    trip_duration_minutes DOUBLE,
    pickup_date DATE,
    pickup_hour INT,
    kafka_partition INT,
    kafka_offset BIGINT,
    processed_at TIMESTAMP_LTZ(6)
) PARTITIONED BY (pickup_date) WITH ({{ table_options }});

CREATE TABLE IF NOT EXISTS iceberg_catalog.silver.rejected_trips (
    {{- source_fields }},
    reason STRING,
    kafka_partition INT,
    kafka_offset BIGINT,
    processed_at TIMESTAMP_LTZ(6)
) WITH ({{ table_options }});

-- One row for each duplicate that Silver drops, so that the ledger adds up without counting anything twice.
CREATE TABLE IF NOT EXISTS iceberg_catalog.silver.duplicate_trips (
    trip_id STRING,
    kafka_partition INT,
    kafka_offset BIGINT,
    processed_at TIMESTAMP_LTZ(6)
) WITH ({{ table_options }});

-- What Flink SQL lacks; the code is in flink/src.
CREATE TEMPORARY FUNCTION json_object_fields AS 'lakehouse.JsonObjectFields';
CREATE TEMPORARY FUNCTION json_number AS 'lakehouse.JsonNumber';
CREATE TEMPORARY FUNCTION iso_timestamp AS 'lakehouse.IsoTimestamp';

-- The topic as bytes, because what a format cannot read would be in no table; once for each table of Bronze, so that each can
-- start where its own rows end.
{% for name, group in [('trip_events', ''), ('trip_payloads', '-rejects')] %}
CREATE TABLE {{ name }} (
    payload BYTES,
    kafka_partition INT METADATA FROM 'partition' VIRTUAL,
    kafka_offset BIGINT METADATA FROM 'offset' VIRTUAL,
    headers MAP<STRING, BYTES> METADATA VIRTUAL
) WITH (
    'connector' = 'kafka',
    'topic' = '{{ var.value.taxi_topic }}',
    {%- for option, value in conn.kafka_flink.extra_dejson.items() %}
    'properties.{{ option }}' = '{{ value | replace("'", "''") }}',
    {%- endfor %}
    'properties.group.id' = '{{ var.value.bronze_consumer_group }}{{ group }}',
    'properties.auto.offset.reset' = 'none',
    'scan.startup.mode' = 'earliest-offset',
    'format' = 'raw'
);
{% endfor %}
