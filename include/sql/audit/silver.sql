-- Silver: each row of raw_trips is a typed trip, a duplicate of one, or a rejected row, by rules written down a second time.
{% set amounts = ['fare_amount', 'extra', 'mta_tax', 'tip_amount', 'tolls_amount', 'improvement_surcharge',
                  'total_amount', 'congestion_surcharge', 'Airport_fee'] -%}
{% set codes = ['VendorID', 'passenger_count', 'RatecodeID', 'PULocationID', 'DOLocationID', 'payment_type'] -%}

-- What JSON writes without quotes is a number, with quotes or without.
CREATE OR REPLACE MACRO number_of(field) AS
    CASE WHEN regexp_full_match(field, '-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?') THEN TRY_CAST(field AS DOUBLE) END;

-- A date, or a date and a time of day to the second or finer; a blank or a T between them. Digits beyond a microsecond go.
CREATE OR REPLACE MACRO moment_of(field) AS CASE
    WHEN regexp_full_match(
        replace(field, 'T', ' '), '[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-2][0-9]:[0-9]{2}:([0-9]{2}(\.[0-9]{1,9})?|0))?'
    ) AND field[:4] <> '0000' AND field[12:13] < '24' THEN TRY_CAST(replace(field, 'T', ' ')[:26] AS TIMESTAMP)
END;

CREATE OR REPLACE MACRO fits_amount(number) AS number IS NOT NULL AND abs(number) < 99999999.995;

-- Rounded half up from the digits that the number shows, not from its binary fraction.
CREATE OR REPLACE MACRO amount_of(number) AS
    CASE WHEN fits_amount(number) THEN CAST(CAST(number AS VARCHAR) AS DECIMAL(10, 2)) END;

CREATE OR REPLACE MACRO is_code(number) AS number IS NOT NULL AND abs(number) < 2147483648 AND number = floor(number);

CREATE OR REPLACE VIEW silver_judged AS
SELECT
    *,
    coalesce(
        pickup_datetime >= TIMESTAMP '{{ pickup_from }}' AND pickup_datetime < TIMESTAMP '{{ pickup_to }}'
        AND dropoff_datetime IS NOT NULL
        AND trip_distance >= 0 AND trip_distance < 1e9
        AND fare_amount_number >= 0
        {%- for field in amounts %}
        AND ({{ field }}_text IS NULL OR fits_amount({{ field }}_number))
        {%- endfor %}
        {%- for field in codes %}
        AND ({{ field }}_text IS NULL OR is_code({{ field }}_number))
        {%- endfor %},
        false
    ) AS keeps_the_rules
FROM (
    SELECT
        kafka_partition,
        kafka_offset,
        hash('rejected_trips', {{ fields | join(', ') }}) AS rejected_digest,
        moment_of(tpep_pickup_datetime) AS pickup_datetime,
        moment_of(tpep_dropoff_datetime) AS dropoff_datetime,
        number_of(trip_distance) AS trip_distance,
        store_and_fwd_flag
        {%- for field in amounts + codes %},
        {{ field }} AS {{ field }}_text,
        number_of({{ field }}) AS {{ field }}_number
        {%- endfor %}
    FROM scoped.raw_trips
);

CREATE OR REPLACE VIEW silver_typed AS
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
        rejected_digest,
        pickup_datetime,
        dropoff_datetime,
        trip_distance,
        store_and_fwd_flag,
        TRY_CAST(VendorID_number AS INTEGER) AS vendor_id,
        TRY_CAST(passenger_count_number AS INTEGER) AS passenger_count,
        TRY_CAST(RatecodeID_number AS INTEGER) AS rate_code_id,
        TRY_CAST(PULocationID_number AS INTEGER) AS pickup_location_id,
        TRY_CAST(DOLocationID_number AS INTEGER) AS dropoff_location_id,
        TRY_CAST(payment_type_number AS INTEGER) AS payment_type_id
        {%- for field in amounts %},
        amount_of({{ field }}_number) AS {{ field | lower }}
        {%- endfor %}
    FROM silver_judged
);

{% set trip_columns -%}
trip_id, vendor_id, pickup_datetime, dropoff_datetime, passenger_count, trip_distance, rate_code_id, store_and_fwd_flag,
        pickup_location_id, dropoff_location_id, payment_type_id, fare_amount, extra, mta_tax, tip_amount, tolls_amount,
        improvement_surcharge, total_amount, congestion_surcharge, airport_fee, trip_duration_minutes, pickup_date, pickup_hour
{%- endset %}

CREATE OR REPLACE VIEW silver_expected AS
SELECT
    kafka_partition,
    kafka_offset,
    CASE WHEN keeps_the_rules THEN hash('cleaned_trips', {{ trip_columns }}) ELSE rejected_digest END AS digest,
    CASE WHEN keeps_the_rules THEN hash('duplicate_trips', trip_id) END AS alternative
FROM silver_typed;

CREATE OR REPLACE VIEW silver_held AS
SELECT kafka_partition, kafka_offset, hash('cleaned_trips', {{ trip_columns }}) AS digest FROM scoped.cleaned_trips
UNION ALL
SELECT kafka_partition, kafka_offset, hash('duplicate_trips', trip_id) AS digest FROM scoped.duplicate_trips
UNION ALL
SELECT kafka_partition, kafka_offset, hash('rejected_trips', {{ fields | join(', ') }}) AS digest FROM scoped.rejected_trips;
