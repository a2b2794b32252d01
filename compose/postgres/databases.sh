#!/bin/bash
# Runs once, when the server's folder is new: a database and a role for each of those who need one, closed to the others.
set -euo pipefail
for name in airflow iceberg registry; do
    variable="POSTGRES_${name^^}_PASSWORD"
    psql --quiet --set=ON_ERROR_STOP=1 --set=name="$name" --set=password="${!variable}" --username=postgres <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
# Who reads the server's figures, and no database's rows.
psql --quiet --set=ON_ERROR_STOP=1 --set=password="$POSTGRES_MONITOR_PASSWORD" --username=postgres <<'SQL'
CREATE ROLE monitor LOGIN PASSWORD :'password' IN ROLE pg_monitor;
SQL
