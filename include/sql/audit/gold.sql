-- Gold: fct_trips is Silver's trips at the version that the file was built from; a code that Gold does not list is its "unknown".
{% set kept -%}
pickup_datetime, dropoff_datetime, pickup_date, pickup_hour, passenger_count, store_and_fwd_flag, trip_distance,
    trip_duration_minutes, fare_amount, extra, mta_tax, tip_amount, tolls_amount, improvement_surcharge, congestion_surcharge,
    airport_fee, total_amount, epoch_us(processed_at)
{%- endset %}
CREATE OR REPLACE VIEW gold_source AS
SELECT * REPLACE (
    CASE WHEN vendor_id IN (SELECT vendor_id FROM gold.dim_vendors) THEN vendor_id ELSE -1 END AS vendor_id,
    CASE WHEN rate_code_id IN (SELECT rate_code_id FROM gold.dim_rate_codes) THEN rate_code_id ELSE 99 END AS rate_code_id,
    CASE WHEN payment_type_id IN (SELECT payment_type_id FROM gold.dim_payment_types) THEN payment_type_id ELSE 5 END
        AS payment_type_id,
    CASE WHEN pickup_location_id IN (SELECT location_id FROM gold.dim_locations) THEN pickup_location_id ELSE 264 END
        AS pickup_location_id,
    CASE WHEN dropoff_location_id IN (SELECT location_id FROM gold.dim_locations) THEN dropoff_location_id ELSE 264 END
        AS dropoff_location_id
)
FROM pinned.cleaned_trips_of_gold
WHERE {{ in_scope }};

{% set digest = "hash(" ~ kept ~ ", CAST(vendor_id AS INTEGER), CAST(rate_code_id AS INTEGER),"
    " CAST(payment_type_id AS INTEGER), CAST(pickup_location_id AS INTEGER), CAST(dropoff_location_id AS INTEGER))" -%}
CREATE OR REPLACE VIEW gold_expected AS
SELECT trip_id, {{ digest }} AS digest, NULL::UBIGINT AS alternative FROM gold_source;

CREATE OR REPLACE VIEW gold_held AS
SELECT trip_id, {{ digest }} AS digest FROM gold.fct_trips
{%- if not whole %} SEMI JOIN gold_expected USING (trip_id){% endif %};
