"""The generator's container is configured by the settings, and problems are reported in one line."""

from __future__ import annotations

import json

import pytest
from airflow.providers.docker.exceptions import DockerContainerFailedException
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk.exceptions import AirflowFailException

from taxi_generator.operator import GeneratorContainerOperator

PARAMS = {"events": 5, "mode": "burst", "rate": None, "seed": 7, "source": None, "where": "container"}
KAFKA = {"bootstrap.servers": "kafka:9092", "sasl.username": "generator", "sasl.password": "secret"}


@pytest.fixture
def settings(connect, monkeypatch):
    extra = {"verify": "/tls/ca.pem", "cert": "/tls/tls.pem"}
    connect("docker_default", host="https://docker:2376", extra=extra)
    connect("kafka_generator", extra=KAFKA)
    connect("schema_registry", host="https://registry:8443")
    container = {"image": "generator:1", "network": "data", "certificates": "tls", "memory": "1024"}
    monkeypatch.setenv("AIRFLOW_VAR_GENERATOR_CONTAINER", json.dumps(container))


@pytest.fixture
def operator(settings) -> GeneratorContainerOperator:
    return GeneratorContainerOperator(task_id="generate_in_container")


@pytest.fixture
def run(operator, monkeypatch):
    """Run the operator with these params; the container prints these lines, or fails with them."""

    def run(*lines: str, failed: bool = False, **params: object) -> dict:
        def execute(self, context):
            if failed:
                raise DockerContainerFailedException("Docker container failed: {'StatusCode': 1}", logs=list(lines))
            return list(lines)

        monkeypatch.setattr(DockerOperator, "execute", execute)
        return operator.execute({"params": PARAMS | params})

    return run


def test_configuration_of_the_container(operator, run):
    assert run("5 events delivered", '{"delivered": 5}', "a line of progress") == {"delivered": 5}
    assert operator.command == [
        "--events=5",
        "--mode=burst",
        "--seed=7",
        "--topic=taxi.raw_trips",
        "--pickup-from=2024-01-01 00:00:00",
        "--pickup-to=2024-02-01 00:00:00",
        "--summary=-",
    ]
    assert (operator.network_mode, operator.mem_limit) == ("data", "1024")
    assert operator.mounts == [{"type": "volume", "source": "tls", "target": "/tls", "read_only": True}]
    assert (operator.docker_url, operator.tls_ca_cert) == ("https://docker:2376", "/tls/ca.pem")
    assert operator.tls_client_cert == operator.tls_client_key == "/tls/tls.pem"


def test_the_container_uses_the_pipelines_parameters(operator, run, monkeypatch):
    monkeypatch.setenv("AIRFLOW_VAR_PIPELINE.NYC_TAXI", json.dumps({"pickup_from": "2009-01-01 00:00:00"}))
    run("{}")
    assert "--pickup-from=2009-01-01 00:00:00" in operator.command


def test_passwords_are_only_in_the_private_environment(operator, run):
    run("{}")
    assert operator._private_environment["KAFKA_PASSWORD"] == "secret"
    shown = {name: getattr(operator, name) for name in operator.template_fields}
    assert "secret" not in str(shown)


def test_the_container_is_removed_with_its_task(operator):
    assert (operator.auto_remove, operator.mount_tmp_dir, operator.privileged) == ("force", False, False)


def test_a_failure_has_the_generators_message(run):
    with pytest.raises(AirflowFailException, match="Kafka at kafka:9092 has no topic"):
        run("started", "Kafka at kafka:9092 has no topic x. Next: create it.", failed=True)


def test_without_docker_the_error_has_the_next_step(run, connect):
    connect("docker_default", host="")
    with pytest.raises(AirflowFailException, match=r"docker_default has no host\. Next: choose `worker`"):
        run()


def test_a_file_of_the_worker_is_refused(run):
    with pytest.raises(AirflowFailException, match="has no access to the worker's file /trips"):
        run(source="/trips.parquet")


def test_a_setting_without_a_variable_is_refused(run, connect):
    connect("kafka_generator", extra=KAFKA | {"sasl.oauthbearer.config": "x"})
    with pytest.raises(AirflowFailException, match=r"sasl\.oauthbearer\.config cannot be set in the environment"):
        run()
