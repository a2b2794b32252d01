-- A stage without audit rules: each row of its source is in any one of its sinks, with the source's values.
{# values[role]: the columns of a sink with a field of the contract, or the payload; none for duplicates, which are identified by
   position. Text that is not valid for its field's type can only be in a rejected row of a typed table. -#}
{% import 'audit/values.jinja' as conversions %}
CREATE OR REPLACE VIEW {{ here }}.expected AS
SELECT
    kafka_partition,
    kafka_offset
    {%- for role, columns in values.items() %},
    CASE WHEN true
        {%- if role != 'rejected' %}
            {%- if stage.reads_topic and columns | selectattr('field') | list %} AND is_event{% endif %}
            {%- for value in columns if value.is_parsed %}
        AND ("{{ value.source }}" IS NULL OR "{{ value.field.name }}__parsed" IS NOT NULL)
            {%- endfor %}
        {%- endif %}
    THEN {
        'kafka_offset': kafka_offset
        {%- for value in columns %},
        '{{ value.column }}': {% if value.is_parsed %}"{{ value.field.name }}__parsed"{% else %}"{{ value.source }}"{% endif %}
        {%- endfor %}
    } END AS "{{ role }}"
    {%- endfor %}

FROM (
    SELECT
        *
        {%- for value in values.values() | sum(start=[]) | selectattr('is_parsed') | unique(attribute='source') %},
        {{ conversions.typed(value.field, '"' ~ value.source ~ '"') }} AS "{{ value.field.name }}__parsed"
        {%- endfor %}

    FROM {{ source }}
);
