-- The files of the current snapshot, the smallest first: content 0 is data, 1 and 2 are deletes.
SELECT content, record_count, file_size_in_bytes, sort_order_id, file_path
FROM iceberg_catalog.`{{ namespace }}`.`{{ table }}$files`
ORDER BY file_size_in_bytes, file_path
LIMIT {{ limit }}
