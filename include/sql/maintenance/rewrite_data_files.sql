-- Compacts small files of some partitions to the target size; rows are compared before each group is committed.
CALL iceberg_catalog.sys.rewrite_data_files(
    `table` => {{ table | literal }},
    strategy => {{ strategy | literal }},
{% if sort_order is defined %}
    sort_order => {{ sort_order | literal }},
{% endif %}
{% if where is defined %}
    `where` => {{ where | literal }},
{% endif %}
{% if max_rewrite_bytes is defined %}
    max_rewrite_bytes => CAST({{ max_rewrite_bytes }} AS BIGINT),
{% endif %}
{% if rewrite_all is defined %}
    rewrite_all => {{ rewrite_all | upper }},
{% endif %}
    target_file_size_bytes => CAST({{ target_file_size_bytes }} AS BIGINT),
    min_input_files => {{ min_input_files }},
    delete_file_threshold => {{ delete_file_threshold }},
    dry_run => {{ dry_run | upper }}
)
