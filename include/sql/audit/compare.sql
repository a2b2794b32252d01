-- The rows that are wanted against those that are held, key by key: what is left are the keys that are not as they should be.
-- One bucket of the keys at a time, because what is grouped must fit into memory.
CREATE OR REPLACE TABLE compared AS
SELECT
    {{ key }},
    count_if(is_wanted) AS wanted,
    count_if(NOT is_wanted) AS held,
    max(digest) FILTER (is_wanted) AS digest,
    max(alternative) AS alternative,
    min(digest) FILTER (NOT is_wanted) AS lowest,
    max(digest) FILTER (NOT is_wanted) AS highest
FROM digests
WHERE hash({{ key }}) % {{ buckets }} = {{ bucket }}
GROUP BY {{ key }}
HAVING
    count_if(is_wanted) <> count_if(NOT is_wanted)
    OR lowest NOT IN (max(digest) FILTER (is_wanted), coalesce(max(alternative), max(digest) FILTER (is_wanted)))
    OR highest NOT IN (max(digest) FILTER (is_wanted), coalesce(max(alternative), max(digest) FILTER (is_wanted)));

INSERT INTO findings BY NAME
SELECT
    '{{ layer }}' AS layer,
    unnest([
        {'kind': 'missing', 'surplus': CAST(wanted AS BIGINT) - CAST(held AS BIGINT)},
        {'kind': 'doubled', 'surplus': CAST(held AS BIGINT) - CAST(wanted AS BIGINT)},
        {'kind': 'altered', 'surplus': CASE
            WHEN wanted > 0 AND held > 0 AND NOT (
                lowest IN (digest, coalesce(alternative, digest)) AND highest IN (digest, coalesce(alternative, digest))
            ) THEN 1 ELSE 0 END}
    ], recursive := true),
    held,
    {{ key }}
FROM compared;

DELETE FROM findings WHERE surplus <= 0;
