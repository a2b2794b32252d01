-- The fact, and the rows that it was built from, at the snapshot that the file names, but for those that it leaves out because
-- their key had arrived before. `row_digest` covers every column that both
-- have: it tells rows apart in a fact that keeps no position.
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
