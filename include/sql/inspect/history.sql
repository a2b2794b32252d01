-- Which snapshot was current since when; one that is no ancestor of the current one was rolled back.
SELECT made_current_at, snapshot_id, parent_id, is_current_ancestor
FROM iceberg_catalog.`{{ namespace }}`.`{{ table }}$history`
ORDER BY made_current_at DESC
LIMIT {{ limit }}
