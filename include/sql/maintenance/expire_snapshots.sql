-- Expires the oldest snapshots, except those that a writer, a reader, a branch or a tag needs, and deletes their unshared files.
CALL iceberg_catalog.sys.expire_snapshots(
    `table` => {{ table | literal }},
    older_than => TIMESTAMP {{ older_than | sql_timestamp | literal }},
    retain_last => {{ retain_last }},
    ignore_unknown_positions => {{ ignore_unknown_positions | upper }},
    dry_run => {{ dry_run | upper }}
)
