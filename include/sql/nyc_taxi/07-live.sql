-- Live: windows of event time over Silver. Every Silver trip is counted in a window of its pickup zone, or it came too late for that.
{% import 'macros/tables.jinja' as tables %}
{% set trips = stage.source.partition('.')[2] %}

-- Which window each trip was counted in; each row of a closed window is in live.zone_demand too, as one of its `trips`.
CREATE TABLE IF NOT EXISTS {{ sinks.counted }} (
    window_start TIMESTAMP(6),
    window_end TIMESTAMP(6),
    pickup_location_id INT,
    event_time TIMESTAMP(6),
    stream_watermark TIMESTAMP(6),
    {{ tables.position() }},
    processed_at TIMESTAMP_LTZ(6),
    rules_version STRING
) WITH ({{ tables.options() }}
);

-- Trips whose window was closed when they came; `late_by_seconds` is how long, in event time.
CREATE TABLE IF NOT EXISTS {{ sinks.late }} (
    trip_id STRING,
    window_start TIMESTAMP(6),
    window_end TIMESTAMP(6),
    pickup_location_id INT,
    total_amount DECIMAL(10, 2),
    event_time TIMESTAMP(6),
    late_by_seconds BIGINT,
    {{ tables.position() }},
    processed_at TIMESTAMP_LTZ(6),
    rules_version STRING
) WITH ({{ tables.options() }}
);

CREATE TABLE IF NOT EXISTS {{ aggregates.zone_demand }} (
    window_start TIMESTAMP(6),
    window_end TIMESTAMP(6),
    pickup_location_id INT,
    zone STRING,
    borough STRING,
    trips BIGINT COMMENT 'Trips that were counted in the window.',
    revenue DECIMAL(38, 2) COMMENT 'Sum of their total_amount. Unit: USD.',
    mean_distance_miles DOUBLE COMMENT 'Mean of their trip_distance.',
    mean_duration_minutes DOUBLE COMMENT 'Mean of their trip_duration_minutes.',
    mean_speed_mph DOUBLE COMMENT 'All their miles divided by all their hours.',
    processed_at TIMESTAMP_LTZ(6)
) WITH ({{ tables.options() }}
);

-- The last hour of a borough every 15 minutes, and its change against the hour until 15 minutes before.
CREATE TABLE IF NOT EXISTS {{ aggregates.borough_trend }} (
    window_start TIMESTAMP(6),
    window_end TIMESTAMP(6),
    borough STRING,
    trips BIGINT COMMENT 'Trips that were counted in the window.',
    trips_before BIGINT COMMENT 'Trips of the window that started 15 minutes earlier.',
    trips_change BIGINT COMMENT 'The difference.',
    processed_at TIMESTAMP_LTZ(6)
) WITH ({{ tables.options() }}
);

-- The watermark of the stream advances when all that Silver has is read. The name is that of the table, by which maintenance
-- recognizes its readers.
CREATE TEMPORARY TABLE {{ trips }} (
    dropped_off_at AS CAST(dropoff_datetime AS TIMESTAMP(3)),
    WATERMARK FOR dropped_off_at AS SOURCE_WATERMARK()
) WITH (
    'connector' = 'iceberg-event-time',
    'event-time.watermark-column' = 'stream_watermark',
    'streaming' = 'true',
    'monitor-interval' = '1s',
    'starting-strategy' = 'TABLE_SCAN_THEN_INCREMENTAL'
) LIKE {{ source }} (OVERWRITING OPTIONS);

CREATE TEMPORARY TABLE zones (
    location_id INT,
    borough STRING,
    zone STRING,
    service_zone STRING
) WITH (
    'connector' = 'inline',
    'format' = 'csv',
    'rows' = {{ 'nyc_taxi/taxi_zones.csv' | seed | literal }}
);

-- A trip is late if its own partition was past its window, or if the window is closed. The source's watermark survives restarts.
-- Trips of earlier versions of Silver have no watermark.
CREATE TEMPORARY VIEW timed_trips AS
SELECT
    *,
    GREATEST(
        COALESCE(partition_watermark, TIMESTAMP '1970-01-01 00:00:00'),
        COALESCE(CURRENT_WATERMARK(dropped_off_at), TIMESTAMP '1970-01-01 00:00:00')
    ) AS watermark_before
FROM {{ trips }};

CREATE TEMPORARY VIEW windowed_trips AS
SELECT * FROM TABLE(TUMBLE(TABLE timed_trips, DESCRIPTOR(dropped_off_at), INTERVAL '15' MINUTE));

CREATE TEMPORARY VIEW counted_trips AS
SELECT * FROM windowed_trips WHERE window_end > watermark_before;

CREATE TEMPORARY VIEW zone_windows AS
SELECT
    window_start AS zone_window_start,
    window_end AS zone_window_end,
    window_time AS closed_at,
    pickup_location_id,
    COUNT(*) AS trips,
    SUM(total_amount) AS revenue,
    AVG(trip_distance) AS mean_distance_miles,
    AVG(trip_duration_minutes) AS mean_duration_minutes,
    SUM(trip_distance) / NULLIF(SUM(trip_duration_minutes), 0) * 60 AS mean_speed_mph,
    PROCTIME() AS looked_up_at
FROM counted_trips
GROUP BY window_start, window_end, window_time, pickup_location_id;

CREATE TEMPORARY VIEW named_windows AS
SELECT found.*, COALESCE(zones.zone, 'Unknown') AS zone, COALESCE(zones.borough, 'Unknown') AS borough
FROM zone_windows AS found
LEFT JOIN zones FOR SYSTEM_TIME AS OF found.looked_up_at ON zones.location_id = found.pickup_location_id;

CREATE TEMPORARY VIEW borough_windows AS
SELECT window_start, window_end, window_time AS closed_at, borough, SUM(trips) AS trips
FROM TABLE(HOP(TABLE named_windows, DESCRIPTOR(closed_at), INTERVAL '15' MINUTE, INTERVAL '1' HOUR))
GROUP BY window_start, window_end, window_time, borough;

CREATE TEMPORARY VIEW followed_windows AS
SELECT
    *,
    CASE
        WHEN LAG(window_end) OVER (PARTITION BY borough ORDER BY closed_at) = window_end - INTERVAL '15' MINUTE
            THEN LAG(trips) OVER (PARTITION BY borough ORDER BY closed_at)
        ELSE 0
    END AS trips_before
FROM borough_windows;

EXECUTE STATEMENT SET
BEGIN

INSERT INTO {{ sinks.counted }}
SELECT
    window_start, window_end, pickup_location_id, dropoff_datetime, stream_watermark,
    kafka_partition, kafka_offset, CURRENT_TIMESTAMP, {{ rules_version | literal }}
FROM counted_trips;

INSERT INTO {{ sinks.late }}
SELECT
    trip_id, window_start, window_end, pickup_location_id, total_amount, dropoff_datetime,
    CAST(TIMESTAMPDIFF(SECOND, window_end, watermark_before) AS BIGINT),
    kafka_partition, kafka_offset, CURRENT_TIMESTAMP, {{ rules_version | literal }}
FROM windowed_trips
WHERE window_end <= watermark_before;

INSERT INTO {{ aggregates.zone_demand }}
SELECT
    zone_window_start, zone_window_end, pickup_location_id, zone, borough, trips, revenue,
    mean_distance_miles, mean_duration_minutes, mean_speed_mph, CURRENT_TIMESTAMP
FROM named_windows;

INSERT INTO {{ aggregates.borough_trend }}
SELECT window_start, window_end, borough, trips, trips_before, trips - trips_before, CURRENT_TIMESTAMP
FROM followed_windows;

END;
