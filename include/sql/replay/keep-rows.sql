-- Copies the rows of the live tables before the point from which Kafka is read again, unchanged.
{% for live, built, columns in copies %}
INSERT INTO iceberg_catalog.{{ built }} (`{{ columns | join('`, `') }}`)
SELECT `{{ columns | join('`, `') }}` FROM iceberg_catalog.{{ live }}
WHERE {{ before_start }};
{% endfor %}
