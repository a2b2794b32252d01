-- All commits: their authors, added rows, and total rows.
SELECT
    committed_at,
    snapshot_id,
    operation,
    summary['added-records'] AS added_rows,
    summary['total-records'] AS total_rows,
    summary['total-data-files'] AS total_files,
    summary['flink.job-id'] AS flink_job
FROM iceberg_catalog.`{{ namespace }}`.`{{ table }}$snapshots`
ORDER BY committed_at DESC
LIMIT {{ limit }}
