"""docker-compose.yaml has no open port, no password, no floating image version, and no service without a limit."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
import yaml
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from confluent_kafka.admin import AclOperation, AclPermissionType, ResourcePatternType, ResourceType

from compose.setup import grant, prepare
from lakehouse.airflow import settings as airflow_settings
from lakehouse.airflow.hooks.topic_reader import GROUP
from lakehouse.pipelines.load import Declarations, declarations
from local.config import ROOT

FILE = ROOT / "docker-compose.yaml"
DECLARED = yaml.safe_load(FILE.read_text())
SERVICES = DECLARED["services"]
SECRET = re.compile(r"PASSWORD|SECRET|(?<!ACCESS)_KEY$|JWT")
ONE_SHOT = {"prepare", "grant"}
LITERAL = ResourcePatternType.LITERAL


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_only_on_loopback(name):
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_two_ports_are_published():
    assert [name for name, service in SERVICES.items() if service.get("ports")] == ["airflow-api-server", "grafana"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_secret_comes_from_the_env_file_and_has_no_default(name):
    for variable, value in SERVICES[name].get("environment", {}).items():
        if SECRET.search(variable) and not value.startswith("/"):  # the path of a file
            assert re.fullmatch(r"\$\{[A-Z_]+:\?[^}]*\}", value), variable


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_has_a_version(name):
    repository, _, tag = SERVICES[name]["image"].partition(":")
    assert re.search(r"\d", tag), repository


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - ONE_SHOT))
def test_a_service_has_limits_of_memory_and_log_size(name):
    service = SERVICES[name]
    assert "mem_limit" in service
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_only_airflow_and_grafana_reach_other_networks():
    assert {name for name, network in DECLARED["networks"].items() if not network.get("internal")} == {"control"}
    out = {name for name, service in SERVICES.items() if "control" in service.get("networks", [])}
    assert all(name.startswith("airflow-") or name in ("demo", "grafana") for name in out)


def test_each_holder_of_a_certificate_has_a_volume_of_its_own():
    mounted = {volume.split(":")[1] for volume in SERVICES["prepare"]["volumes"]}
    assert {f"/volumes/tls/{holder.name}" for holder in prepare.HOLDERS} <= mounted


def test_flink_may_delete_expired_files_and_readers_only_read():
    statements = grant.policy("lake")["Statement"]

    def allowed(who: str) -> set[tuple[str, str]]:
        return {
            (action, resource)
            for statement in statements
            if who in statement["Principal"]
            for action in statement["Action"]
            for resource in statement["Resource"]
        }

    deleting = {resource for action, resource in allowed("writer") if action == "s3:DeleteObject"}
    assert deleting == {
        "arn:aws:s3:::lake/flink/*", "arn:aws:s3:::lake/warehouse/*/data/*", "arn:aws:s3:::lake/warehouse/*/metadata/*"
    }  # fmt: skip
    assert {action.split(":")[1][:3] for action, _ in allowed("reader")} == {"Get", "Lis"}
    assert not any("flink" in resource for _, resource in allowed("reader"))


def test_only_the_gate_reaches_docker_and_only_the_scheduler_reaches_the_gate():
    """Airflow has no access to the socket: whoever can create arbitrary containers is root on the host."""
    mounting = {name for name, service in SERVICES.items() if "docker.sock" in str(service.get("volumes"))}
    assert mounting == {"docker-gate"}
    socket = {"type": "bind", "source": "${DOCKER_SOCKET:?}", "target": "/run/docker.sock", "read_only": True}
    assert socket in SERVICES["docker-gate"]["volumes"]
    near = {name for name, service in SERVICES.items() if "docker" in service.get("networks", [])}
    assert near == {"docker-gate", "airflow-scheduler"}
    assert SERVICES["docker-gate"]["networks"] == ["docker"]
    assert (SERVICES["docker-gate"]["cap_drop"], SERVICES["docker-gate"].get("privileged")) == (["ALL"], None)


def test_the_gate_allows_the_container_that_airflow_requests():
    requested, allowed = (SERVICES[name]["environment"] for name in ("airflow-scheduler", "docker-gate"))
    names = {"GENERATOR_IMAGE", "GENERATOR_NETWORK", "GENERATOR_CERTIFICATES", "GENERATOR_MEMORY"}
    assert {name: requested[name] for name in names} == {name: allowed[name] for name in names}
    assert allowed["GENERATOR_IMAGE"] == SERVICES["airflow-scheduler"]["image"]


def permissions_of(user: str, *topics: str) -> set[tuple[ResourceType, str, ResourcePatternType, AclOperation]]:
    bindings = [acl for acl in grant.acls(topics) if acl.principal == f"User:{user}"]
    assert {(acl.host, acl.permission_type) for acl in bindings} == {("*", AclPermissionType.ALLOW)}
    return {(acl.restype, acl.name, acl.resource_pattern_type, acl.operation) for acl in bindings}


def test_every_declared_pipeline_has_its_permissions_in_kafka(monkeypatch, capsys):
    def pipeline(topic: str) -> SimpleNamespace:
        return SimpleNamespace(topic=SimpleNamespace(name=topic))

    declared = Declarations({"trains": pipeline("rail"), "buses": pipeline("road")}, {"x.yaml": "x.yaml: no title"})
    monkeypatch.setattr(grant, "declarations", lambda: declared)
    topics = grant.declared_topics()
    assert topics == ["rail", "road"]
    assert "no permissions for include/pipelines/x.yaml: no title" in capsys.readouterr().err

    for user in grant.PERMISSIONS:
        rail, road = (
            {acl[3] for acl in permissions_of(user, *topics) if acl[:3] == (ResourceType.TOPIC, topic, LITERAL)}
            for topic in topics
        )
        assert rail == road == set(grant.PERMISSIONS[user][0])


def test_airflow_may_create_and_configure_topics():
    """`flink_jobs` creates topics, and corrects their retention and timestamps."""
    allowed = {acl[3] for acl in permissions_of("airflow", "rail") if acl[0] == ResourceType.TOPIC}
    assert {AclOperation.CREATE, AclOperation.DESCRIBE_CONFIGS, AclOperation.ALTER_CONFIGS} <= allowed
    assert AclOperation.ALTER_CONFIGS not in {acl[3] for acl in permissions_of("flink", "rail")}


def test_every_consumer_group_of_the_platform_may_be_used():
    stages = [stage for pipeline in declarations().pipelines.values() for stage in pipeline.stages.values()]
    groups = [GROUP, *(stage.consumer_group for stage in stages)]
    assert all(group.startswith(grant.GROUPS) for group in groups)
    for user in ("airflow", "flink"):
        of_groups = {acl for acl in permissions_of(user, "rail") if acl[0] == ResourceType.GROUP}
        assert of_groups == {(ResourceType.GROUP, grant.GROUPS, ResourcePatternType.PREFIXED, AclOperation.READ)}


def test_the_image_contains_what_its_services_run():
    """`.dockerignore` lets through each folder that the image copies."""
    copied = set(re.findall(r"^COPY .*?(\w+) /opt/lakehouse/\w+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert copied >= {"dags", "include", "plugins", "local", "demo", "compose"}
    assert {f"!{folder}" for folder in copied} <= set((ROOT / ".dockerignore").read_text().split())


def test_the_environment_fills_every_placeholder_of_the_settings():
    """The connection for locks and leases, `coordination`, included."""
    environment = SERVICES["airflow-scheduler"]["environment"]
    assert airflow_settings.load(environment=environment).connections["coordination"]["host"] == "postgres"


def test_the_generator_may_only_write_to_kafka():
    assert grant.PERMISSIONS["generator"] == ((AclOperation.WRITE,), ())
    assert SERVICES["data-generator"]["environment"]["KAFKA_USERNAME"] == "generator"


@pytest.mark.parametrize(
    ("name", "triggers", "sees_connections", "changes_connections"),
    [("viewer", False, False, False), ("operator", True, True, True), ("admin", True, True, True)],
)
def test_the_users_of_airflow_may_do_what_the_threat_model_says(name, triggers, sees_connections, changes_connections):
    declared = SERVICES["airflow-api-server"]["environment"]["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"]
    roles = dict(user.split(":") for user in declared.split(","))
    user, manager = SimpleAuthManagerUser(username=name, role=roles[name]), SimpleAuthManager()
    assert manager.is_authorized_dag(method="GET", user=user)
    assert manager.is_authorized_dag(method="POST", user=user) == triggers
    for may in (manager.is_authorized_connection, manager.is_authorized_variable):
        assert may(method="GET", user=user) == sees_connections
        assert may(method="PUT", user=user) == changes_connections
