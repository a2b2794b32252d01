"""Contracts are registered in the schema registry."""

import pytest
from airflow.sdk.exceptions import AirflowException

from lakehouse.airflow.hooks.registry import SchemaRegistryHook

RULE = "PUT /apis/ccompat/v7/config/taxi.raw_trips-value"
VERSIONS = "POST /apis/ccompat/v7/subjects/taxi.raw_trips-value/versions?normalize=False"
LATEST = "GET /apis/ccompat/v7/subjects/taxi.raw_trips-value/versions/latest"


@pytest.fixture
def registry(http, connect):
    connect("schema_registry", host=f"http://127.0.0.1:{http.server_port}/apis/ccompat/v7")
    http[RULE] = {"compatibilityLevel": "FORWARD"}
    return http


def test_a_schema_gets_its_id(registry):
    registry[VERSIONS] = {"id": 17}
    assert SchemaRegistryHook().register("taxi.raw_trips-value", '{"type": "object"}') == 17
    assert registry.requests == [
        (*RULE.split(), {"compatibility": "FORWARD"}),
        (*VERSIONS.split(), {"schema": '{"type": "object"}', "schemaType": "JSON", "references": []}),
    ]


def test_a_rejection_contains_the_registrys_message(registry):
    registry[VERSIONS] = 409, {"message": "incompatible with version 1"}
    with pytest.raises(
        AirflowException, match=r"did not register taxi\.raw_trips-value: 409 .*incompatible with version 1"
    ):
        SchemaRegistryHook().register("taxi.raw_trips-value", "{}")


def test_nothing_is_registered_if_the_compatibility_level_is_rejected(registry):
    """At another level, a contract that breaks its readers would pass."""
    registry[RULE] = 401, {"message": "log in"}
    with pytest.raises(AirflowException, match=r"did not register taxi\.raw_trips-value: 401 log in"):
        SchemaRegistryHook().register("taxi.raw_trips-value", "{}")
    assert len(registry.requests) == 1


def test_the_newest_schemas_id(registry):
    registry[LATEST] = {"subject": "taxi.raw_trips-value", "id": 17, "version": 3}
    assert SchemaRegistryHook().latest_id("taxi.raw_trips-value") == 17


def test_a_missing_subject_is_reported(registry):
    with pytest.raises(AirflowException, match=r"has no subject taxi\.raw_trips-value\. Next: register the contract"):
        SchemaRegistryHook().latest_id("taxi.raw_trips-value")


def test_a_registry_that_is_down_is_reported(connect):
    connect("schema_registry", host="http://127.0.0.1:1")
    with pytest.raises(
        AirflowException, match=r"http://127\.0\.0\.1:1 did not register .*: .*refused\. Next: start it"
    ):
        SchemaRegistryHook().register("taxi.raw_trips-value", "{}")
