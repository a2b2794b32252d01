-- Findings in rows that were evaluated by earlier rules: the role of each row, and the roles that today's rules allow.
CREATE OR REPLACE TABLE judged_before AS
WITH earlier AS (
    {% for role, relation in sinks.items() %}
    SELECT kafka_partition, kafka_offset, '{{ role }}' AS role
    FROM {{ relation }}
    {% if role in with_version %}WHERE rules_version IS DISTINCT FROM {{ version | literal }}
    {% endif %}
    {{ 'UNION ALL' if not loop.last }}
    {% endfor %}
),

found AS (
    SELECT kafka_partition, kafka_offset, any_value(kind) AS kind
    FROM findings
    WHERE layer = '{{ here }}' AND (kind = 'altered' OR kind = 'duplicated' AND key IS NOT NULL)
    GROUP BY kafka_partition, kafka_offset
)

SELECT
    kafka_partition,
    kafka_offset,
    found.kind,
    earlier.role,
    [allowed FOR allowed IN [
        {%- for role in sinks %}
        CASE WHEN expected."{{ role }}" IS NOT NULL THEN '{{ role }}' END{{ ',' if not loop.last }}
        {%- endfor %}

    ] IF allowed IS NOT NULL] AS today
FROM found
INNER JOIN earlier USING (kafka_partition, kafka_offset)
INNER JOIN {{ here }}.expected AS expected USING (kafka_partition, kafka_offset);

DELETE FROM findings
WHERE
    layer = '{{ here }}' AND (kind = 'altered' OR kind = 'duplicated' AND key IS NOT NULL)
    AND (kafka_partition, kafka_offset) IN (SELECT (kafka_partition, kafka_offset) FROM judged_before);
