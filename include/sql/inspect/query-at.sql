-- A query of a table as it was; `{table}` in it stands for the table then.
{{ query | replace('{table}', "iceberg_catalog.`" ~ namespace ~ "`.`" ~ table ~ "` FOR SYSTEM_TIME AS OF TIMESTAMP " ~ (at | sql_timestamp | literal)) }}
