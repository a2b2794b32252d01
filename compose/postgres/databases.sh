#!/bin/bash
# Runs once, when the data directory is new: creates a database and a role for each service, inaccessible to the others.
set -euo pipefail
for name in airflow iceberg registry; do
    variable="POSTGRES_${name^^}_PASSWORD"
    psql --quiet --set=ON_ERROR_STOP=1 --set=name="$name" --set=password="${!variable}" --username=postgres <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
# A role that can read the server's statistics, but no data.
psql --quiet --set=ON_ERROR_STOP=1 --set=password="$POSTGRES_MONITOR_PASSWORD" --username=postgres <<'SQL'
CREATE ROLE monitor LOGIN PASSWORD :'password' IN ROLE pg_monitor;
SQL
