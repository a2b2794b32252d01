-- Size of the current snapshot, by kind of file.
SELECT
    content,
    COUNT(*) AS files,
    SUM(record_count) AS row_count,
    SUM(file_size_in_bytes) AS `bytes`,
    MIN(file_size_in_bytes) AS smallest,
    MAX(file_size_in_bytes) AS largest
FROM iceberg_catalog.`{{ namespace }}`.`{{ table }}$files`
GROUP BY content
LIMIT {{ limit }}
