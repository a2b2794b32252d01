-- Of the events that describe the same trip exactly one is the trip, whichever came first; after a pause as long as Silver
-- remembers a trip, another may be. Partitions are read side by side, so the order of offsets says nothing.
CREATE OR REPLACE VIEW arrivals AS
SELECT TRY_CAST(trip_id AS UUID) AS trip, kafka_partition, kafka_offset, epoch_us(processed_at) AS arrived_us, true AS is_trip
FROM pinned.cleaned_trips
UNION ALL
SELECT TRY_CAST(trip_id AS UUID) AS trip, kafka_partition, kafka_offset, epoch_us(processed_at) AS arrived_us, false AS is_trip
FROM pinned.duplicate_trips;

INSERT INTO findings BY NAME
WITH suspects AS (
    SELECT trip
    FROM arrivals
    WHERE trip IS NOT NULL AND hash(trip) % {{ buckets }} = {{ bucket }}
    GROUP BY trip
    HAVING count_if(is_trip) <> 1 AND bool_or({{ in_scope }})
),

members AS (
    SELECT *, arrived_us - lag(arrived_us) OVER (PARTITION BY trip ORDER BY arrived_us, is_trip DESC) AS pause_us
    FROM arrivals
    SEMI JOIN suspects USING (trip)
)

SELECT
    'Silver' AS layer, 'doubled' AS kind, 1 AS surplus, kafka_partition, kafka_offset, replace(trip::VARCHAR, '-', '') AS trip_id
FROM members
WHERE is_trip AND pause_us < {{ retention_us }} AND (kafka_partition, kafka_offset) NOT IN (
    SELECT (kafka_partition, kafka_offset) FROM findings WHERE layer = 'Silver' AND kind = 'doubled'
)
UNION ALL
SELECT
    'Silver' AS layer, 'missing' AS kind, 1 AS surplus,
    arg_min(kafka_partition, arrived_us) AS kafka_partition, arg_min(kafka_offset, arrived_us) AS kafka_offset,
    replace(trip::VARCHAR, '-', '') AS trip_id
FROM members
WHERE replace(trip::VARCHAR, '-', '') NOT IN ( -- the trip itself is missing, which is known
    SELECT typed.trip_id
    FROM silver_typed AS typed
    SEMI JOIN (FROM findings WHERE layer = 'Silver' AND kind = 'missing') USING (kafka_partition, kafka_offset)
    WHERE typed.trip_id IS NOT NULL
)
GROUP BY trip
HAVING NOT bool_or(is_trip);
