-- Both sides of a layer in one table, computed once.
CREATE OR REPLACE TABLE digests AS
SELECT *, true AS is_wanted FROM {{ wanted }}
UNION ALL BY NAME
SELECT *, false AS is_wanted FROM {{ held }};
