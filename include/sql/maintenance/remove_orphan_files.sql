-- Files that no snapshot, metadata log, statistics file, branch or tag leads to, into quarantine.
CALL iceberg_catalog.sys.remove_orphan_files(
    `table` => {{ table | literal }},
    older_than => TIMESTAMP {{ older_than | sql_timestamp | literal }},
    max_orphan_share => {{ max_orphan_share }},
    allow_recent => {{ allow_recent | upper }},
    dry_run => {{ dry_run | upper }}
)
