-- The two sides of a layer, by key and role: a digest of each row that a sink may have (`wanted`), and of each that it has
-- (`held`). Expected values are converted to the column's type, actual values never.
CREATE OR REPLACE VIEW {{ here }}.wanted AS
SELECT
    {{ key }}
    {%- for role, columns in roles.items() %},
    CASE WHEN "{{ role }}" IS NOT NULL THEN hash(
        {%- for column, type in columns.items() %}
        TRY_CAST(struct_extract("{{ role }}", '{{ column }}') AS {{ type }}),
        {%- endfor %}
        true
    ) END AS digest_{{ role }}
    {%- endfor %}

FROM {{ here }}.expected;

CREATE OR REPLACE VIEW {{ here }}.held AS
{% for role, columns in roles.items() %}
SELECT
    {{ key }},
    hash(
        {%- for column in columns %}
        "{{ column }}",
        {%- endfor %}
        {{ 'reason IS NOT NULL' if role in with_reason else 'true' }}
    ) AS digest_{{ role }}
FROM {{ sinks[role] }}
{{ 'UNION ALL BY NAME' if not loop.last else ';' }}
{% endfor %}
