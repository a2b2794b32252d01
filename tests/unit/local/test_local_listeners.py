"""No service can be reached from another machine, and every port is one of the platform's."""

import re

import pytest
import yaml
from jinja2 import UndefinedError

from local import airflow, config, flink, kafka, postgres, registry
from local.generated import properties, render, yaml_scalar

LOOPBACK = "127.0.0.1"


@pytest.fixture
def rendered(platform, monkeypatch):
    """Every service's configuration file, with unique ports."""
    monkeypatch.setenv("PORT_BASE", "28000")
    platform = config.create()
    flink.configure(platform)
    render("kafka.properties.j2", platform.home / "kafka" / "server.properties", platform.values, properties)
    return platform


def _properties(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))


def _flink(platform) -> dict[str, object]:
    return yaml.safe_load((platform.home / "flink" / "conf" / "config.yaml").read_text())


def test_kafka_listens_and_is_advertised_on_loopback(rendered):
    properties = _properties((rendered.home / "kafka" / "server.properties").read_text())
    ports = [rendered.port("KAFKA_PORT"), rendered.port("KAFKA_CONTROLLER_PORT")]
    assert re.findall(r"\w+://([^,]*)", properties["listeners"]) == [f"{LOOPBACK}:{port}" for port in ports]
    assert properties["advertised.listeners"] == f"PLAINTEXT://{LOOPBACK}:{ports[0]}"
    assert properties["controller.quorum.voters"] == f"1@{LOOPBACK}:{ports[1]}"
    assert properties["auto.create.topics.enable"] == "false"


def test_each_process_of_flink_binds_to_loopback(rendered):
    """By default, most of them listen on every interface."""
    options = _flink(rendered)
    binding = {
        "jobmanager.bind-host",
        "taskmanager.bind-host",
        "rest.bind-address",
        "sql-gateway.endpoint.rest.bind-address",
    }
    addresses = {key: value for key, value in options.items() if re.search(r"(host|address)$", key)}
    assert binding <= addresses.keys()
    assert set(addresses.values()) == {LOOPBACK}


def test_flink_only_uses_ports_of_the_platform(rendered):
    options = _flink(rendered)
    fixed = {key: int(value) for key, value in options.items() if re.search(r"port$", key)}
    assert {
        "jobmanager.rpc.port",
        "blob.server.port",
        "rest.bind-port",
        "taskmanager.rpc.port",
        "taskmanager.data.port",
        "sql-gateway.endpoint.rest.bind-port",
    } <= fixed.keys()
    assert set(fixed.values()) == {port for name, port in rendered.ports.items() if name.startswith("FLINK")}


def test_jobs_can_only_be_submitted_by_the_gateway(rendered):
    options = _flink(rendered)
    assert (options["web.submit.enable"], options["web.cancel.enable"]) == (False, False)


def test_postgres_listens_on_loopback_and_not_on_a_unix_socket(rendered):
    settings = dict(option.split("=", 1) for option in postgres.command(rendered) if "=" in option)
    assert settings["listen_addresses"] == LOOPBACK
    assert settings["port"] == str(rendered.port("POSTGRES_PORT"))
    assert settings["unix_socket_directories"] == ""


def test_the_registry_listens_on_loopback(rendered):
    environment = registry.environment(rendered)
    assert environment["QUARKUS_HTTP_HOST"] == LOOPBACK
    assert environment["QUARKUS_HTTP_PORT"] == str(rendered.port("REGISTRY_PORT"))


def test_airflow_listens_on_loopback_and_serves_no_logs(rendered):
    environment = airflow.environment(rendered)
    assert environment["AIRFLOW__API__HOST"] == LOOPBACK
    assert environment["AIRFLOW__API__PORT"] == str(rendered.port("AIRFLOW_PORT"))
    for component in ("scheduler", "triggerer"):  # each would serve its logs on every interface
        assert "--skip-serve-logs" in airflow.command(component)


@pytest.mark.parametrize(
    ("template", "name", "escape"),
    [("kafka.properties.j2", "KAFKA_PORT", properties), ("flink.yaml.j2", "FLINK_REST_PORT", yaml_scalar)],
)
def test_an_unknown_name_in_a_template_is_an_error(platform, template, name, escape):
    values = {known: value for known, value in platform.values.items() if known != name}
    target = platform.home / "rendered"
    with pytest.raises(UndefinedError, match=name):
        render(template, target, values, escape)
    assert not target.exists()


def test_kafka_is_configured_by_its_own_template(platform, monkeypatch):
    """`prepare` writes the file that `command` names, and does not format storage again."""
    (platform.home / "kafka" / "data").mkdir()
    (platform.home / "kafka" / "data" / "meta.properties").touch()
    monkeypatch.setenv("JAVA_HOME", "/nowhere")  # Kafka's tools cannot be run
    kafka.prepare(platform)
    assert kafka.folder(platform) / kafka.command(platform)[-1] == platform.home / "kafka" / "server.properties"
    assert f"{LOOPBACK}:{platform.port('KAFKA_PORT')}" in (platform.home / "kafka" / "server.properties").read_text()
