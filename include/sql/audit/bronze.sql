-- The rule of 05-bronze.sql: each event that is one JSON object is an accepted row with its original field values; any other
-- message is a rejected row with its bytes.
CREATE OR REPLACE VIEW {{ here }}.expected AS
SELECT
    kafka_partition,
    kafka_offset,
    CASE WHEN is_event THEN {
        {%- for name in contract.names %}
        '{{ name }}': "{{ name }}"{{ '' if loop.last else ',' }}
        {%- endfor %}
    } END AS accepted,
    CASE WHEN NOT is_event THEN {'payload': payload} END AS rejected
FROM {{ source }};
