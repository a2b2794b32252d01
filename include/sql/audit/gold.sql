-- A fact without audit rules: it has each row of its source once, with equal values in every column that both have. Rows are
-- matched by position if the fact has it, otherwise by all values.
CREATE OR REPLACE VIEW {{ here }}.expected AS
SELECT
    {{ 'kafka_partition, kafka_offset' if keeps_position else 'row_digest' }},
    {
        {%- for column in shared %}
        '{{ column }}': "{{ column }}"{{ '' if loop.last else ',' }}
        {%- endfor %}
    } AS fact
FROM {{ source }};
