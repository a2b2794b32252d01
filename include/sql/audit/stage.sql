-- A stage without rules here: each row of its source is in one of its sinks, whichever that is, and holds the source's values.
{# values[role]: the columns of a sink that hold a field of the contract, or the payload; none of a duplicate, which is known by its
   position. A text that is no value of its field's type can be in a table of typed values only among the rejected rows. -#}
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
