-- Every row that `{{ expected }}` asks for and that `{{ held }}` has, by its key and a digest of all its values, worked out once.
-- `alternative` is the digest of the other row that would also be right.
CREATE OR REPLACE TABLE digests AS
SELECT {{ key }}, true AS is_wanted, digest, alternative FROM {{ expected }}
UNION ALL
SELECT {{ key }}, false AS is_wanted, digest, NULL AS alternative FROM {{ held }};
