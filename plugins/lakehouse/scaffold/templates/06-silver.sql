-- Silver of [[ name ]]: every Bronze row becomes one row: a typed event, a rejected row with its reason, or a duplicate.
[% if time and time.type != 'DATE' %]
{% import 'macros/calendar.jinja' as calendar %}
[% endif %]
{% import 'macros/fields.jinja' as fields %}
{% import 'macros/silver.jinja' as silver %}
{% import 'macros/tables.jinja' as tables %}
[% if key %]
{# Events that are equal in these fields are one event and its duplicates. #}
{% set key = [ [%- for field in key %]contract['[[ field.name ]]'][[ '' if loop.last else ', ' ]][% endfor -%] ] %}
[% else %]
{# Events that are equal in all fields are one event and its duplicates. #}
{% set key = contract.fields %}
[% endif %]
[% if time %]
[% if time.type == 'TIMESTAMP_LTZ(6)' %]
{% set event_time = 'CAST(' ~ fields.parsed_name(contract['[[ time.name ]]']) ~ ' AS TIMESTAMP(6))' %}
[% else %]
{% set event_time = fields.parsed_name(contract['[[ time.name ]]']) %}
[% endif %]
[% endif %]

CREATE TABLE IF NOT EXISTS {{ sinks.accepted }} (
    [[ event_key ]] STRING,
    {{- fields.typed_columns(contract.fields) }},
[% if time %]
    [[ day ]] DATE,
[% endif %]
    {{ tables.position() }},
    processed_at TIMESTAMP_LTZ(6)
) WITH ({{ tables.options() }}
);

{{ silver.rejected_table(sinks.rejected, contract.fields) }};

{{ silver.duplicate_table(sinks.duplicate, '[[ event_key ]]') }};

-- How long a key is remembered to recognise its duplicates.
SET 'table.exec.state.ttl' = '{{ params.dedup_retention }}';

-- Days are those of UTC.
SET 'table.local-time-zone' = 'UTC';

CREATE TEMPORARY VIEW parsed_events AS
{{ silver.parsed(contract.fields, source) }};

-- The first rule that an event breaks is the reason of its rejection.
CREATE TEMPORARY VIEW judged_events AS
SELECT
    *,
    CASE
[% if event.required %]
        {% for field in contract.fields if field.required %}
        {{ fields.missing(field) }}
        {% endfor %}
[% else %]
        {{ fields.all_missing(contract.fields) }}
[% endif %]
[% if time %]
        WHEN {{ event_time }} < TIMESTAMP '{{ params.time_from }}' OR {{ event_time }} >= TIMESTAMP '{{ params.time_to }}'
            THEN '[[ time.name ]] is outside the window'
[% endif %]
        {# Rules of your own come here, for example:
        WHEN {{ fields.parsed_name(contract['[[ example.name ]]']) }} [[ '< 0' if example.is_number else 'IS NULL' ]] THEN '[[ example.name ]] is [[ 'negative' if example.is_number else 'missing' ]]'
        #}
        {% for field in contract.fields %}
        {{ fields.misfit(field) }}
        {% endfor %}
    END AS reason
FROM parsed_events;

CREATE TEMPORARY VIEW typed_events AS
{{ silver.typed(contract.fields, 'judged_events') }};

-- The n-th time that a key arrives: the first is the event, the others are duplicates.
CREATE TEMPORARY VIEW counted_events AS
SELECT
    *,
    COUNT(*) OVER (PARTITION BY [[ event_key ]] ORDER BY processed_at ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS [[ occurrence ]]
FROM (
    SELECT
        *,
        PROCTIME() AS processed_at,
        {{ fields.key(key) }} AS [[ event_key ]]
    FROM typed_events
);

EXECUTE STATEMENT SET
BEGIN

INSERT INTO {{ sinks.accepted }} (
    [[ event_key ]], {{ fields.columns(contract.fields) }},
    [%+ if time %][[ day ]], [% endif %]kafka_partition, kafka_offset, processed_at
)
SELECT
    [[ event_key ]],
    {{ fields.columns(contract.fields) }},
[% if time %]
[% if time.type == 'DATE' %]
    `[[ time.column ]]`,
[% elif time.type == 'TIMESTAMP_LTZ(6)' %]
    {{ calendar.date_of('CAST(`[[ time.column ]]` AS TIMESTAMP(6))') }},
[% else %]
    {{ calendar.date_of('`[[ time.column ]]`') }},
[% endif %]
[% endif %]
    kafka_partition,
    kafka_offset,
    CURRENT_TIMESTAMP
FROM counted_events
WHERE [[ occurrence ]] = 1;

INSERT INTO {{ sinks.duplicate }} ([[ event_key ]], kafka_partition, kafka_offset, processed_at)
SELECT [[ event_key ]], kafka_partition, kafka_offset, CURRENT_TIMESTAMP
FROM counted_events
WHERE [[ occurrence ]] > 1;

INSERT INTO {{ sinks.rejected }} ({{ fields.names(contract.fields) }}, reason, kafka_partition, kafka_offset, processed_at)
SELECT {{ fields.names(contract.fields) }}, reason, kafka_partition, kafka_offset, CURRENT_TIMESTAMP
FROM judged_events
WHERE reason IS NOT NULL;

END;
