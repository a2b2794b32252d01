-- Gold: fct_trips has Silver's trips as of the version that the file was built from; unlisted codes are replaced by "unknown".
CREATE OR REPLACE VIEW {{ here }}.expected AS
SELECT
    trip_id,
    {
        {%- for column in shared %}
        '{{ column }}': "{{ column }}"{{ '' if loop.last else ',' }}
        {%- endfor %}
    } AS fact
FROM (
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
    FROM {{ source }}
);
