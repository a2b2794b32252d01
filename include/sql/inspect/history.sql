-- When each snapshot became current; snapshots that are not ancestors of the current one were rolled back.
SELECT made_current_at, snapshot_id, parent_id, is_current_ancestor
FROM iceberg_catalog.`{{ namespace }}`.`{{ table }}$history`
ORDER BY made_current_at DESC
LIMIT {{ limit }}
