"""The Kafka broker: one node that is its own controller."""

import subprocess

from local.config import CONF, JARS, Platform, PlatformError, kafka_cluster_id
from local.java import java, render


def _class_path() -> str:
    return f"{JARS}/kafka/*"


def command(platform: Platform) -> list[str]:
    """The broker."""
    properties = platform.home / "kafka" / "server.properties"
    log = f"-Dlog4j2.configurationFile={CONF}/kafka-log4j2.yaml"
    options = ["-Xms64m", "-Xmx256m", "-XX:MaxMetaspaceSize=128m", "-XX:ReservedCodeCacheSize=64m", log]
    options.append(f"-Djava.io.tmpdir={platform.home}/kafka")
    return [*java(), *options, "-cp", _class_path(), "kafka.Kafka", str(properties)]


def prepare(platform: Platform) -> None:
    """Write the broker's configuration, and format its storage once."""
    folder = platform.home / "kafka"
    render("kafka.properties.j2", folder / "server.properties", platform.values)
    if (folder / "data" / "meta.properties").is_file():
        return
    tool = ["kafka.tools.StorageTool", "format", "-c", str(folder / "server.properties"), "-t", kafka_cluster_id()]
    fast = ["-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={CONF}/kafka-log4j2.yaml"]
    run = subprocess.run([*java(), *fast, "-cp", _class_path(), *tool], capture_output=True, text=True, timeout=60)
    if run.returncode:
        raise PlatformError(f"formatting Kafka's storage in {folder} failed: {(run.stderr or run.stdout).strip()}")
