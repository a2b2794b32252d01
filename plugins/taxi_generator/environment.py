"""The generator's settings as environment variables, with the names that `airflow_settings.yaml` uses too."""

from __future__ import annotations

from collections.abc import Mapping

SERVERS, REGISTRY, CA_FILE = "KAFKA_BOOTSTRAP_SERVERS", "SCHEMA_REGISTRY_URL", "CA_FILE"
#: Variable -> setting of librdkafka.
KAFKA = {
    SERVERS: "bootstrap.servers",
    "KAFKA_SECURITY_PROTOCOL": "security.protocol",
    "KAFKA_SASL_MECHANISM": "sasl.mechanism",
    "KAFKA_USERNAME": "sasl.username",
    "KAFKA_PASSWORD": "sasl.password",
    CA_FILE: "ssl.ca.location",
}


def kafka_of(environment: Mapping[str, str]) -> dict[str, str]:
    """librdkafka's settings in an environment; empty ones count as missing."""
    return {setting: environment[name] for name, setting in KAFKA.items() if environment.get(name)}


def environment_of(kafka: Mapping[str, str], registry: str) -> dict[str, str]:
    """The environment for settings of librdkafka, and a registry's URL.

    :raises ValueError: a setting has no variable
    """
    unknown = sorted(kafka.keys() - KAFKA.values())
    if unknown:
        raise ValueError(f"{', '.join(unknown)} cannot be set in the environment, only {', '.join(KAFKA.values())}")
    return {name: str(kafka[setting]) for name, setting in KAFKA.items() if setting in kafka} | {REGISTRY: registry}
