"""The Kafka broker: one node that is its own controller."""

import base64
import subprocess
import uuid

from local.config import CONF, JARS, Platform, PlatformError
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
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    tool = ["kafka.tools.StorageTool", "format", "-c", str(folder / "server.properties"), "-t", cluster]
    fast = ["-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={CONF}/kafka-log4j2.yaml"]
    run = subprocess.run([*java(), *fast, "-cp", _class_path(), *tool], capture_output=True, text=True, timeout=60)
    if run.returncode:
        raise PlatformError(f"formatting Kafka's storage in {folder} failed: {(run.stderr or run.stdout).strip()}")
