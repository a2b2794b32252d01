"""The schema registry (Apicurio, with Confluent's API under /apis/ccompat/v7); its data is in a separate file."""

from pathlib import Path

from local.config import JARS, Platform
from local.java import ENVIRONMENT, java


def folder(platform: Platform) -> Path:
    """Its working directory: data paths are relative to it, because a JDBC URL has no escapes."""
    return platform.home / "registry"


def command(platform: Platform) -> list[str]:
    """The registry."""
    options = ["-Xms32m", "-Xmx128m", "-XX:MaxMetaspaceSize=160m", "-XX:TieredStopAtLevel=1"]
    (runner,) = (JARS / "registry").glob("apicurio-registry-app-*-runner.jar")
    return [*java(platform.scratch("registry")), *options, "-jar", str(runner)]


def environment(platform: Platform) -> dict[str, str]:
    """Its settings: loopback, few connections, persistent data."""
    return ENVIRONMENT | {
        "QUARKUS_HTTP_HOST": "127.0.0.1",
        "QUARKUS_HTTP_PORT": platform.values["REGISTRY_PORT"],
        "QUARKUS_LOG_LEVEL": "WARN",
        "APICURIO_STORAGE_KIND": "sql",
        "APICURIO_STORAGE_SQL_KIND": "h2",
        "APICURIO_DATASOURCE_URL": "jdbc:h2:file:./data",
        "APICURIO_DATASOURCE_JDBC_INITIAL_SIZE": "1",
        "APICURIO_DATASOURCE_JDBC_MIN_SIZE": "1",
        "APICURIO_DATASOURCE_JDBC_MAX_SIZE": "8",
    }
