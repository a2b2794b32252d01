"""The contract goes to the schema registry."""

import pytest
from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.registry import SchemaRegistryHook

RULE = "PUT /apis/ccompat/v7/config/taxi.raw_trips-value"
VERSIONS = "POST /apis/ccompat/v7/subjects/taxi.raw_trips-value/versions"


@pytest.fixture
def registry(http, connect):
    connect("schema_registry", host=f"http://127.0.0.1:{http.server_port}/apis/ccompat/v7")
    http[RULE] = {"compatibilityLevel": "FORWARD"}
    return http


def test_a_schema_gets_its_id(registry):
    registry[VERSIONS] = {"id": 17}
    assert SchemaRegistryHook().register("taxi.raw_trips-value", '{"type": "object"}') == 17
    assert registry.asked == [
        (*RULE.split(), {"compatibility": "FORWARD"}),
        (*VERSIONS.split(), {"schema": '{"type": "object"}', "schemaType": "JSON"}),
    ]


def test_a_refusal_carries_the_registrys_words(registry):
    registry[VERSIONS] = 409, {"message": "incompatible with version 1"}
    with pytest.raises(AirflowException, match=r"refused taxi\.raw_trips-value: 409 .*incompatible with version 1"):
        SchemaRegistryHook().register("taxi.raw_trips-value", "{}")
