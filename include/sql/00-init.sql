-- Set-up of every Flink session: the Iceberg catalog, functions that Flink SQL lacks, and the namespaces of a stage's tables.
-- Idempotent: statements are IF NOT EXISTS, or apply only to the session. The catalog is Iceberg's, extended with maintenance
-- procedures (flink/iceberg-procedures), which read from the jobs' saved states what a table must keep.
CREATE CATALOG iceberg_catalog WITH (
    'type' = 'iceberg-procedures',
    {%- for option, value in catalog_options.items() %}
    {{ option | literal }} = {{ value | literal }},
    {%- endfor %}
    'maintenance.state-dir' = {{ var.value.flink_state_dir | literal }}
);

CREATE TEMPORARY FUNCTION json_object_fields AS 'lakehouse.JsonObjectFields';
CREATE TEMPORARY FUNCTION json_number AS 'lakehouse.JsonNumber';
CREATE TEMPORARY FUNCTION iso_timestamp AS 'lakehouse.IsoTimestamp';
CREATE TEMPORARY FUNCTION iso_instant AS 'lakehouse.IsoInstant';
CREATE TEMPORARY FUNCTION partition_watermark AS 'lakehouse.eventtime.PartitionWatermark';
CREATE TEMPORARY FUNCTION stream_watermark AS 'lakehouse.eventtime.StreamWatermark';
{% for namespace in namespaces %}

CREATE DATABASE IF NOT EXISTS iceberg_catalog.{{ namespace }};
{% endfor %}
