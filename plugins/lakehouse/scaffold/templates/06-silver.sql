-- Silver of [[ name ]]: every Bronze row becomes one row: a typed event, a rejected event with a reason, or a duplicate.
[% if time and time.type != 'DATE' %]
{% import 'macros/calendar.jinja' as calendar %}
[% endif %]
{% import 'macros/fields.jinja' as fields %}
{% import 'macros/silver.jinja' as silver %}

[% if key %]
{# Events with equal values of these fields are duplicates. #}
{% set key = fields.key([ [%- for field in key %]contract['[[ field.name ]]'][[ '' if loop.last else ', ' ]][% endfor -%] ]) %}
[% else %]
{# Events with equal values of all fields are duplicates. #}
{% set key = fields.key(contract.fields) %}
[% endif %]
{# Additional columns: name, type, value. #}
[% if not time %]
{% set computed = [] %}
[% elif time.type == 'DATE' %]
{% set computed = [('[[ day ]]', 'DATE', '`[[ time.column ]]`')] %}
{% set event_time = fields.parsed_name(contract['[[ time.name ]]']) %}
[% elif time.type == 'TIMESTAMP_LTZ(6)' %]
{% set computed = [('[[ day ]]', 'DATE', calendar.date_of('CAST(`[[ time.column ]]` AS TIMESTAMP(6))'))] %}
{% set event_time = 'CAST(' ~ fields.parsed_name(contract['[[ time.name ]]']) ~ ' AS TIMESTAMP(6))' %}
[% else %]
{% set computed = [('[[ day ]]', 'DATE', calendar.date_of('`[[ time.column ]]`'))] %}
{% set event_time = fields.parsed_name(contract['[[ time.name ]]']) %}
[% endif %]

{{ silver.accepted_table(sinks.accepted, '[[ event_key ]]', contract.fields, computed) }};
{{ silver.rejected_table(sinks.rejected, contract.fields) }};
{{ silver.duplicate_table(sinks.duplicate, '[[ event_key ]]') }};

SET 'table.exec.state.ttl' = {{ params.dedup_retention | literal }}; -- how long keys are kept to detect duplicates
SET 'table.local-time-zone' = 'UTC'; -- days are in UTC

CREATE TEMPORARY VIEW parsed_events AS
{{ silver.parsed(contract.fields, source) }};

-- The first rule that an event breaks is the reason for its rejection.
CREATE TEMPORARY VIEW judged_events AS
SELECT *, CASE
    {{ fields.incomplete(contract.fields) }}
[% if time %]
    WHEN {{ event_time }} < TIMESTAMP {{ params.time_from | literal }} OR {{ event_time }} >= TIMESTAMP {{ params.time_to | literal }}
        THEN '[[ time.name ]] is outside the window'
[% endif %]
    {# Add your own rules here, for example:
    WHEN {{ fields.parsed_name(contract['[[ example.name ]]']) }} [[ '< 0' if example.is_number else 'IS NULL' ]] THEN '[[ example.name ]] is [[ 'negative' if example.is_number else 'missing' ]]'
    -#}
    {{ fields.misfits(contract.fields) }}
END AS reason
FROM parsed_events;

CREATE TEMPORARY VIEW typed_events AS
{{ silver.typed(contract.fields, 'judged_events') }};

-- Arrivals of each key are numbered: the first is the event, the others are duplicates.
CREATE TEMPORARY VIEW counted_events AS
{{ silver.counted('typed_events', '[[ event_key ]]', key[[ ", occurrence='" ~ occurrence ~ "'" if occurrence != 'occurrence' ]]) }};

EXECUTE STATEMENT SET
BEGIN

{{ silver.insert_accepted(sinks.accepted, '[[ event_key ]]', contract.fields, computed) }}
FROM counted_events WHERE [[ occurrence ]] = 1;

{{ silver.insert_duplicate(sinks.duplicate, '[[ event_key ]]') }}
FROM counted_events WHERE [[ occurrence ]] > 1;

{{ silver.insert_rejected(sinks.rejected, contract.fields) }}
FROM judged_events WHERE reason IS NOT NULL;

END;
