-- Of what Kafka has deleted, only the tables can tell: each row must be there once.
INSERT INTO {{ wanted }} BY NAME
SELECT kafka_partition, kafka_offset{% for role in roles %}, max(digest_{{ role }}) AS digest_{{ role }}{% endfor %}

FROM {{ held }}
WHERE {{ expired }}
GROUP BY kafka_partition, kafka_offset;
