-- Events that Kafka has deleted are only in the tables: each row must exist once.
INSERT INTO {{ wanted }} BY NAME
SELECT kafka_partition, kafka_offset{% for role in roles %}, max(digest_{{ role }}) AS digest_{{ role }}{% endfor %}

FROM {{ held }}
WHERE {{ expired }}
GROUP BY kafka_partition, kafka_offset;
