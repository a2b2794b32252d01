-- A fact without rules here: it holds each row of its source once, with equal values in every column that both have. Rows are
-- matched by position where the fact keeps it, or else as a whole.
CREATE OR REPLACE VIEW {{ here }}.expected AS
SELECT
    {{ 'kafka_partition, kafka_offset' if keeps_position else 'row_digest' }},
    {
        {%- for column in shared %}
        '{{ column }}': "{{ column }}"{{ '' if loop.last else ',' }}
        {%- endfor %}
    } AS fact
FROM {{ source }};
