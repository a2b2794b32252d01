-- Clusters manifests by partition, so that a reader of one partition opens few of them.
CALL iceberg_catalog.sys.rewrite_manifests(`table` => {{ table | literal }})
