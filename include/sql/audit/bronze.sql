-- Bronze: each event is one row of raw_trips, its fields as they came, or one row of rejected_events with its bytes.
CREATE OR REPLACE VIEW bronze_held AS
SELECT kafka_partition, kafka_offset, {{ trip_digest }} AS digest FROM scoped.raw_trips
UNION ALL
SELECT kafka_partition, kafka_offset, {{ rejected_digest }} AS digest FROM scoped.rejected_events;

-- Of what Kafka has deleted, only the tables can tell: each row must be there once.
CREATE OR REPLACE VIEW bronze_expected AS
SELECT kafka_partition, kafka_offset, digest, NULL::UBIGINT AS alternative FROM events
UNION ALL
SELECT kafka_partition, kafka_offset, max(digest) AS digest, min(digest) AS alternative
FROM bronze_held
WHERE {{ expired }}
GROUP BY kafka_partition, kafka_offset;
