-- Names that every Flink session needs: the Iceberg catalog, its tables, and the topic as a table.
-- Safe to run at any moment: all statements are IF NOT EXISTS or live in the session alone.
{% set iceberg = conn.iceberg_catalog %}
CREATE CATALOG iceberg_catalog WITH (
    'type' = 'iceberg',
    'catalog-impl' = 'org.apache.iceberg.jdbc.JdbcCatalog',
    'uri' = 'jdbc:postgresql://{{ iceberg.host }}:{{ iceberg.port }}/{{ iceberg.schema }}',
    'jdbc.user' = '{{ iceberg.login }}',
    'jdbc.password' = '{{ iceberg.password }}',
    'jdbc.schema-version' = 'V1'
    {%- for option, value in iceberg.extra_dejson.items() %},
    '{{ option }}' = '{{ value }}'
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
-- partition, so that rows can be counted by partition from the table's metadata.

-- Source fields stay text, exactly as they came: a number that does not parse is judged in Silver, with a reason,
-- instead of turning into NULL on the way in.
{% set source_fields %}
    `VendorID` STRING,
    `tpep_pickup_datetime` STRING,
    `tpep_dropoff_datetime` STRING,
    `passenger_count` STRING,
    `trip_distance` STRING,
    `RatecodeID` STRING,
    `store_and_fwd_flag` STRING,
    `PULocationID` STRING,
    `DOLocationID` STRING,
    `payment_type` STRING,
    `fare_amount` STRING,
    `extra` STRING,
    `mta_tax` STRING,
    `tip_amount` STRING,
    `tolls_amount` STRING,
    `improvement_surcharge` STRING,
    `total_amount` STRING,
    `congestion_surcharge` STRING,
    `Airport_fee` STRING
{%- endset -%}

CREATE TABLE IF NOT EXISTS iceberg_catalog.bronze.raw_trips (
    {{ source_fields }},
    ingested_at TIMESTAMP_LTZ(6),
    kafka_partition INT,
    kafka_offset BIGINT
) PARTITIONED BY (kafka_partition) WITH ({{ table_options }});

CREATE TABLE IF NOT EXISTS iceberg_catalog.bronze.rejected_events (
    payload BYTES,
    reason STRING,
    kafka_partition INT,
    kafka_offset BIGINT,
    ingested_at TIMESTAMP_LTZ(6)
) PARTITIONED BY (kafka_partition) WITH ({{ table_options }});

CREATE TABLE IF NOT EXISTS iceberg_catalog.silver.cleaned_trips (
    trip_id STRING,
    vendor_id INT,
    pickup_datetime TIMESTAMP(6),
    dropoff_datetime TIMESTAMP(6),
    passenger_count INT,
    trip_distance DOUBLE,
    rate_code_id INT,
    store_and_fwd_flag STRING,
    pickup_location_id INT,
    dropoff_location_id INT,
    payment_type_id INT,
    fare_amount DECIMAL(10, 2),
    extra DECIMAL(10, 2),
    mta_tax DECIMAL(10, 2),
    tip_amount DECIMAL(10, 2),
    tolls_amount DECIMAL(10, 2),
    improvement_surcharge DECIMAL(10, 2),
    total_amount DECIMAL(10, 2),
    congestion_surcharge DECIMAL(10, 2),
    airport_fee DECIMAL(10, 2),
    trip_duration_minutes DOUBLE,
    pickup_date DATE,
    pickup_hour INT,
    kafka_partition INT,
    kafka_offset BIGINT,
    processed_at TIMESTAMP_LTZ(6)
) PARTITIONED BY (pickup_date) WITH ({{ table_options }});

CREATE TABLE IF NOT EXISTS iceberg_catalog.silver.rejected_trips (
    {{ source_fields }},
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

{% macro kafka_source(group) %}
    'connector' = 'kafka',
    'topic' = '{{ var.value.taxi_topic }}',
    {%- for option, value in conn.kafka_default.extra_dejson.items() %}
    'properties.{{ option }}' = '{{ value }}',
    {%- endfor %}
    'properties.group.id' = '{{ group }}',
    'properties.auto.offset.reset' = 'none',
    'scan.startup.mode' = 'earliest-offset'
{%- endmacro -%}

CREATE TABLE trip_events (
    {{ source_fields }},
    kafka_partition INT METADATA FROM 'partition' VIRTUAL,
    kafka_offset BIGINT METADATA FROM 'offset' VIRTUAL
) WITH (
    {{ kafka_source(var.value.bronze_consumer_group) }},
    'format' = 'json',
    'json.ignore-parse-errors' = 'true'
);

CREATE TABLE trip_payloads (
    payload BYTES,
    kafka_partition INT METADATA FROM 'partition' VIRTUAL,
    kafka_offset BIGINT METADATA FROM 'offset' VIRTUAL
) WITH (
    {{ kafka_source(var.value.bronze_consumer_group ~ '-rejects') }},
    'format' = 'raw'
);
