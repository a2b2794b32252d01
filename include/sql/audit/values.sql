-- Converts text to each type, or to NULL if it is not valid: a second implementation of Flink's conversions, for DuckDB.

-- Text in JSON's number format is a number, quoted or not: the nearest DOUBLE, or Infinity if it is too large.
CREATE OR REPLACE MACRO number_of(field) AS
    CASE WHEN regexp_full_match(field, '-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?') THEN TRY_CAST(field AS DOUBLE) END;

CREATE OR REPLACE MACRO double_of(number) AS CASE WHEN isfinite(number) THEN number END;

CREATE OR REPLACE MACRO integer_of(number) AS
    CASE WHEN abs(number) < 2147483648 AND number = floor(number) THEN CAST(number AS INTEGER) END;

-- A DOUBLE is exact up to 2^53: larger numbers must be integers in digits.
CREATE OR REPLACE MACRO bigint_of(field) AS CASE
    WHEN regexp_full_match(field, '-?(0|[1-9][0-9]*)') THEN TRY_CAST(field AS BIGINT)
    WHEN abs(number_of(field)) <= 9007199254740992 AND number_of(field) = floor(number_of(field))
        THEN CAST(number_of(field) AS BIGINT)
END;

CREATE OR REPLACE MACRO boolean_of(field) AS CASE field WHEN 'true' THEN true WHEN 'false' THEN false END;

-- A date, or a date and a time of day to the second or finer; separated by a blank or a T. Digits beyond microseconds are cut off.
CREATE OR REPLACE MACRO moment_of(field) AS CASE
    WHEN regexp_full_match(
        replace(field, 'T', ' '), '[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-2][0-9]:[0-9]{2}:([0-9]{2}(\.[0-9]{1,9})?|0))?'
    ) AND field[:4] <> '0000' AND field[12:13] < '24' THEN TRY_CAST(replace(field, 'T', ' ')[:26] AS TIMESTAMP)
END;

-- '' is UTC itself.
CREATE OR REPLACE MACRO seconds_from_utc(zone) AS CASE WHEN zone = '' THEN 0 ELSE
    (CASE zone[1] WHEN '-' THEN -1 ELSE 1 END) * (
        3600 * CAST(zone[2:3] AS BIGINT)
        + 60 * coalesce(TRY_CAST(zone[5:6] AS BIGINT), 0)
        + coalesce(TRY_CAST(zone[8:9] AS BIGINT), 0)
    )
END;

-- A date, a time of day to the minute or finer, and its offset from UTC, at most 18 hours.
CREATE OR REPLACE MACRO instant_of(field) AS CASE
    WHEN field[12:13] < '24' AND regexp_full_match(
        field,
        '[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{0,9})?)?'
        || '([Zz]|[-+](0[0-9]|1[0-7])(:[0-5][0-9]){0,2}|[-+]18(:00){0,2})'
    ) THEN CAST(
        TRY_CAST(field[:10] || ' ' || regexp_extract(field[12:], '^[0-9:]+(\.[0-9]{0,6})?') AS TIMESTAMP)
        - to_seconds(seconds_from_utc(regexp_extract(field, '[-+][0-9:]+$'))) AS TIMESTAMPTZ
    )
END;
