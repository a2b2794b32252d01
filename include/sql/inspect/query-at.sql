-- Time travel: `{table}` in the query is replaced by the table as of a time.
{{ query | replace('{table}', "iceberg_catalog.`" ~ namespace ~ "`.`" ~ table ~ "` FOR SYSTEM_TIME AS OF TIMESTAMP " ~ (at | sql_timestamp | literal)) }}
