"""The development container has what the platform requires, and forwards its two pages."""

from __future__ import annotations

import json

from local import config, preflight

DEVCONTAINER = json.loads((config.ROOT / ".devcontainer" / "devcontainer.json").read_text())


def test_it_has_a_supported_java_and_python():
    (java,) = [given for feature, given in DEVCONTAINER["features"].items() if "/java:" in feature]
    assert int(java["version"]) in preflight.JAVA_MAJORS
    assert java["installMaven"] == "true"
    assert "/python:3.11-" in DEVCONTAINER["image"]


def test_it_requires_the_same_memory_and_disk_as_setup():
    asked = {
        name: int(size.removesuffix("gb")) for name, size in DEVCONTAINER["hostRequirements"].items() if name != "cpus"
    }
    assert asked["memory"] >= preflight.MIN_FREE_MEMORY_GB
    assert asked["storage"] >= preflight.MIN_FREE_DISK_GB


def test_it_forwards_the_pages_of_airflow_and_flink():
    pages = {config.PORTS["AIRFLOW_PORT"]: "Airflow", config.PORTS["FLINK_REST_PORT"]: "Flink"}
    assert DEVCONTAINER["forwardPorts"] == [*pages]
    assert DEVCONTAINER["portsAttributes"] == {str(port): {"label": page} for port, page in pages.items()}
