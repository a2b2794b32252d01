-- Snapshots that must be kept: one row for each snapshot and each consumer that protects it.
CALL iceberg_catalog.sys.protected_snapshots(
    `table` => {{ table | literal }}
{% if ignore_unknown_positions %}
    , ignore_unknown_positions => TRUE
{% endif %}
)
