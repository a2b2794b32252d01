-- Compares expected with actual rows by key, and keeps the keys that differ. One bucket of keys at a time, because the groups must
-- fit into memory.
CREATE OR REPLACE TABLE compared AS
SELECT
    {{ key }},
    count_if(is_wanted) AS wanted,
    count_if(NOT is_wanted) AS held,
    {%- for role in roles %}
    coalesce(
        min(digest_{{ role }}) FILTER (NOT is_wanted) = max(digest_{{ role }}) FILTER (is_wanted)
        AND max(digest_{{ role }}) FILTER (NOT is_wanted) = max(digest_{{ role }}) FILTER (is_wanted),
        min(digest_{{ role }}) FILTER (NOT is_wanted) IS NULL
    ){{ ' AS is_unaltered' if loop.last else ' AND' }}
    {%- endfor %}

FROM digests
WHERE hash({{ key }}) % {{ buckets }} = {{ bucket }}
GROUP BY {{ key }}
HAVING wanted <> held OR NOT is_unaltered;

INSERT INTO findings BY NAME
SELECT
    '{{ here }}' AS layer,
    unnest([
        {'kind': 'missing', 'surplus': CAST(wanted AS BIGINT) - CAST(held AS BIGINT)},
        {'kind': 'duplicated', 'surplus': CAST(held AS BIGINT) - CAST(wanted AS BIGINT)},
        {'kind': 'altered', 'surplus': CASE WHEN wanted > 0 AND held > 0 AND NOT is_unaltered THEN 1 ELSE 0 END}
    ], recursive := true),
    held,
    {{ as_found }}
FROM compared;

DELETE FROM findings WHERE surplus <= 0;
