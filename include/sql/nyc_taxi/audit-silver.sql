-- Silver: each row of Bronze is a typed trip, a duplicate of one, or a rejected row, by a second implementation of the rules.
{% import 'audit/values.jinja' as values %}
{# Fields with their own rules below; all others only need to be valid for their type. -#}
{% set with_own_rules = ['tpep_pickup_datetime', 'tpep_dropoff_datetime', 'trip_distance'] %}
CREATE OR REPLACE VIEW {{ here }}.judged AS
SELECT
    *,
    coalesce(
        "pickup_datetime__parsed" >= TIMESTAMP {{ params.pickup_from | literal }}
        AND "pickup_datetime__parsed" < TIMESTAMP {{ params.pickup_to | literal }}
        AND "dropoff_datetime__parsed" IS NOT NULL
        AND "trip_distance__parsed" >= 0 AND "trip_distance__parsed" < 1e9
        AND number_of(fare_amount) >= 0
        {%- for field in contract.fields if field.name not in with_own_rules %}
        AND ("{{ field.name }}" IS NULL OR "{{ field.column }}__parsed" IS NOT NULL)
        {%- endfor %},
        false
    ) AS keeps_the_rules
FROM (
    SELECT
        *
        {%- for field in contract.fields %},
        {{ values.typed(field, '"' ~ field.name ~ '"') }} AS "{{ field.column }}__parsed"
        {%- endfor %}

    FROM {{ source }}
);

CREATE OR REPLACE VIEW {{ here }}.typed AS
SELECT
    *,
    md5(concat_ws('|',
        coalesce(CAST(vendor_id AS VARCHAR), ''),
        strftime(pickup_datetime, '%Y-%m-%d %H:%M:%S'),
        strftime(dropoff_datetime, '%Y-%m-%d %H:%M:%S'),
        coalesce(CAST(pickup_location_id AS VARCHAR), ''),
        coalesce(CAST(dropoff_location_id AS VARCHAR), ''),
        coalesce(CAST(fare_amount AS VARCHAR), ''),
        coalesce(CAST(total_amount AS VARCHAR), '')
    )) AS trip_id,
    round((epoch_us(date_trunc('second', dropoff_datetime)) - epoch_us(date_trunc('second', pickup_datetime))) / 6e7, 2)
        AS trip_duration_minutes,
    CAST(pickup_datetime AS DATE) AS pickup_date,
    CAST(hour(pickup_datetime) AS INTEGER) AS pickup_hour
FROM (
    SELECT
        kafka_partition,
        kafka_offset,
        keeps_the_rules,
        {
            {%- for name in contract.names %}
            '{{ name }}': "{{ name }}"{{ '' if loop.last else ',' }}
            {%- endfor %}
        } AS texts
        {%- for column in contract.columns %},
        "{{ column }}__parsed" AS "{{ column }}"
        {%- endfor %}

    FROM {{ here }}.judged
);

CREATE OR REPLACE VIEW {{ here }}.expected AS
SELECT
    kafka_partition,
    kafka_offset,
    CASE WHEN keeps_the_rules THEN {
        'trip_id': trip_id,
        {%- for column in contract.columns %}
        '{{ column }}': "{{ column }}",
        {%- endfor %}
        'trip_duration_minutes': trip_duration_minutes,
        'pickup_date': pickup_date,
        'pickup_hour': pickup_hour
    } END AS accepted,
    CASE WHEN NOT keeps_the_rules THEN texts END AS rejected,
    CASE WHEN keeps_the_rules THEN {'trip_id': trip_id} END AS duplicate
FROM {{ here }}.typed;

-- Exactly one row per trip_id is the trip, as long as Silver remembers it.
CREATE OR REPLACE VIEW {{ here }}.arrivals AS
SELECT
    trip_id, kafka_partition, kafka_offset, processed_at AS arrived_at, true AS is_accepted,
    CAST({{ params.dedup_retention | literal }} AS INTERVAL) AS remembered
FROM {{ sinks.accepted }}
UNION ALL
SELECT
    trip_id, kafka_partition, kafka_offset, processed_at AS arrived_at, false AS is_accepted,
    CAST({{ params.dedup_retention | literal }} AS INTERVAL) AS remembered
FROM {{ sinks.duplicate }};
