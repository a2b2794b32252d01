-- Of all rows with the same key, exactly one is accepted, the first to arrive; after the retention of the stage's state, another may
-- be accepted. Partitions are read concurrently, so offsets do not give the order.
INSERT INTO findings BY NAME
WITH suspects AS (
    SELECT hash({{ key }}) AS hashed
    FROM {{ here }}.arrivals
    WHERE {{ key }} IS NOT NULL AND hash({{ key }}) % {{ buckets }} = {{ bucket }}
    GROUP BY hashed
    HAVING count_if(is_accepted) <> 1 AND bool_or({{ in_scope }})
),

members AS (
    SELECT *, arrived_at - lag(arrived_at) OVER (PARTITION BY {{ key }} ORDER BY arrived_at, is_accepted DESC) AS pause
    FROM {{ here }}.arrivals
    SEMI JOIN suspects ON hash({{ key }}) = suspects.hashed
)

SELECT
    '{{ here }}' AS layer, 'duplicated' AS kind, 1 AS surplus, kafka_partition, kafka_offset, CAST({{ key }} AS VARCHAR) AS key
FROM members
WHERE is_accepted AND pause < remembered AND (kafka_partition, kafka_offset) NOT IN (
    SELECT (kafka_partition, kafka_offset) FROM findings WHERE layer = '{{ here }}' AND kind = 'duplicated'
)
UNION ALL
SELECT
    '{{ here }}' AS layer, 'missing' AS kind, 1 AS surplus,
    arg_min(kafka_partition, arrived_at) AS kafka_partition, arg_min(kafka_offset, arrived_at) AS kafka_offset,
    CAST({{ key }} AS VARCHAR) AS key
FROM members
WHERE {{ key }} NOT IN ( -- the accepted row itself is missing, which is known
    SELECT struct_extract(accepted, '{{ key }}')
    FROM {{ here }}.expected
    SEMI JOIN (FROM findings WHERE layer = '{{ here }}' AND kind = 'missing') USING (kafka_partition, kafka_offset)
    WHERE struct_extract(accepted, '{{ key }}') IS NOT NULL
)
GROUP BY {{ key }}
HAVING NOT bool_or(is_accepted);
