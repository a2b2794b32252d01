-- The fact, and the source rows as of the snapshot in the file, without late duplicates. `row_digest` covers every column that both
-- have: it identifies rows of a fact without positions.
{% macro digest(columns) -%}
hash({% for column, type in columns.items() %}TRY_CAST("{{ column }}" AS {{ type }}), {% endfor %}true)
{%- endmacro %}
CREATE OR REPLACE VIEW {{ here }}.source AS
SELECT *, {{ digest(shared) }} AS row_digest
FROM {{ pinned }}
{% if late_duplicates %}
ANTI JOIN {{ late_duplicates }} USING (kafka_partition, kafka_offset)
{% endif %}
WHERE {{ in_scope }};

CREATE OR REPLACE VIEW {{ here }}.fact AS
SELECT *, {{ digest(shared) }} AS row_digest
FROM {{ fact }};
