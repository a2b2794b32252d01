-- What must stay, and for whom: one row for each snapshot and whoever protects it.
CALL iceberg_catalog.sys.protected_snapshots(
    `table` => {{ table | literal }}
{% if ignore_unknown_positions %}
    , ignore_unknown_positions => TRUE
{% endif %}
)
