"""The Kafka broker: one node that is also the controller."""

from pathlib import Path

from local import java
from local.config import CONF, JARS, Platform, PlatformError, kafka_cluster_id
from local.generated import properties, render

# Log4j splits a path at commas, but not a URI.
_LOG = f"-Dlog4j2.configurationFile={(CONF / 'kafka-log4j2.yaml').as_uri()}"


def _class_path() -> str:
    return f"{JARS}/kafka/*"


def folder(platform: Platform) -> Path:
    """Its working directory: data paths are relative to it, because Kafka splits paths at commas."""
    return platform.home / "kafka"


def command(platform: Platform) -> list[str]:
    """The broker."""
    options = ["-Xms64m", "-Xmx256m", "-XX:MaxMetaspaceSize=128m", "-XX:ReservedCodeCacheSize=64m", _LOG]
    java_command = java.java(platform.scratch("kafka"))
    return [*java_command, *options, "-cp", _class_path(), "kafka.Kafka", "server.properties"]


def prepare(platform: Platform) -> None:
    """Write the broker's configuration, and format its storage once."""
    here = folder(platform)
    render("kafka.properties.j2", here / "server.properties", platform.values, properties)
    if (here / "data" / "meta.properties").is_file():
        return
    tool = ["kafka.tools.StorageTool", "format", "-c", "server.properties", "-t", kafka_cluster_id()]
    run = java.run(here, _LOG, "-cp", _class_path(), *tool)
    if run.returncode:
        raise PlatformError(f"formatting Kafka's storage in {here} failed: {(run.stderr or run.stdout).strip()}")
