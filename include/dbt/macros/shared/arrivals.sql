{# Rows that arrived since the newest one in `relation`, with the overlap. A literal, so that files of
   Iceberg and row groups of DuckDB can be skipped by their statistics. #}
{% macro arrived_since_newest(relation, column) %}
    {%- set newest = none -%}
    {%- if execute and relation and not should_full_refresh() -%}
        {%- set newest = run_query(
            "select cast(max(" ~ column ~ ") - interval " ~ var("arrival_overlap_minutes") ~ " minute as varchar) from "
            ~ relation
        ).columns[0][0] -%}
    {%- endif -%}
    {{ "processed_at >= timestamptz '" ~ newest ~ "'" if newest else "true" }}
{%- endmacro %}

{# Row count of the source's version that this run reads, from its summary: the cost does not grow with the table. #}
{% macro source_row_count() %}
    select coalesce(max(cast(snapshot -> 'summary' ->> 'total-records' as bigint)), 0) as row_count
    from (
        select
            unnest(json_extract(content, '$.snapshots[*]')) as snapshot,
            content ->> 'current-snapshot-id' as current_id
        from read_text(getvariable('source_metadata'))
    )
    where snapshot ->> 'snapshot-id' = current_id
{% endmacro %}
