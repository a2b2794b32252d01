"""The generator's settings in the environment, by the names that fill `airflow_settings.yaml`."""

from __future__ import annotations

from collections.abc import Mapping

SERVERS, REGISTRY, CA_FILE = "KAFKA_BOOTSTRAP_SERVERS", "SCHEMA_REGISTRY_URL", "CA_FILE"
#: Which of librdkafka's settings each holds.
KAFKA = {
    SERVERS: "bootstrap.servers",
    "KAFKA_SECURITY_PROTOCOL": "security.protocol",
    "KAFKA_SASL_MECHANISM": "sasl.mechanism",
    "KAFKA_USERNAME": "sasl.username",
    "KAFKA_PASSWORD": "sasl.password",
    CA_FILE: "ssl.ca.location",
}


def kafka_of(environment: Mapping[str, str]) -> dict[str, str]:
    """librdkafka's settings that an environment holds; an empty one is none."""
    return {setting: environment[name] for name, setting in KAFKA.items() if environment.get(name)}


def environment_of(kafka: Mapping[str, str], registry: str) -> dict[str, str]:
    """The environment for these settings of librdkafka, and this registry's URL.

    :raises ValueError: one of them has no name in the environment
    """
    unknown = sorted(kafka.keys() - KAFKA.values())
    if unknown:
        raise ValueError(f"{', '.join(unknown)} cannot be given by environment, only {', '.join(KAFKA.values())}")
    return {name: str(kafka[setting]) for name, setting in KAFKA.items() if setting in kafka} | {REGISTRY: registry}
