"""The platform on containers: the main job, and access control of all services."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import requests
from compose_project import GRAFANA_PORT, OFFICIAL, PORT, Compose, secret

DOORS = Path(__file__).with_name("doors.py")
URL = f"http://127.0.0.1:{PORT}"


def login(user: str) -> requests.Session:
    session = requests.Session()
    login = {"username": user, "password": secret(f"AIRFLOW_{user.upper()}_PASSWORD")}
    answer = session.post(f"{URL}/auth/token", json=login, timeout=30)
    answer.raise_for_status()
    session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return session


def test_the_demo_ends_with_a_balanced_ledger(compose: Compose):
    assert "Ledger: balanced" in compose.demo(10_000, 1)


@pytest.fixture(scope="module")
def met(compose: Compose) -> dict[str, str]:
    return json.loads(compose.python("airflow-scheduler", DOORS).splitlines()[-1])


CLOSED = {
    "Kafka without a password": "_TRANSPORT|_TIMED_OUT",
    "Kafka with a wrong password": "_TRANSPORT|_AUTHENTICATION|_TIMED_OUT",
    "Kafka: another topic": "TOPIC_AUTHORIZATION_FAILED",
    "Kafka's own listener without a certificate": "_TRANSPORT|_TIMED_OUT",
    "Kafka: another consumer group": "GROUP_AUTHORIZATION_FAILED",
    "the bucket without a key": "AccessDenied",
    "the bucket with the reader's key: writing": "AccessDenied",
    "the bucket with the reader's key: checkpoints": "AccessDenied",
    "the bucket with the reader's key: deleting": "AccessDenied",
    "Flink's REST API without a certificate": "SSL|alert|RemoteDisconnected",
    "Flink's SQL Gateway without a certificate": "SSL|alert|RemoteDisconnected",
    "PostgreSQL: another's database": "no pg_hba.conf entry",
    "PostgreSQL without encryption": "no pg_hba.conf entry",
    "PostgreSQL's administrator": "no pg_hba.conf entry",
    "the schema registry: writing without a login": "401",
    "Airflow without a login": "401",
    "the object store without encryption": "ConnectionError",
    "Prometheus without a certificate": "SSL|alert|RemoteDisconnected",
    "Docker without a certificate": "SSL|alert|RemoteDisconnected",
    "Docker: the machine's root as a volume": "HostConfig.Binds is",
    "Docker: a privileged container": "HostConfig.Privileged is",
    "Docker: another command": "Entrypoint is",
    "Docker: all containers": "GET /containers/json is not served",
    "Docker's own socket": "FileNotFoundError",
}


@pytest.mark.parametrize("door", CLOSED)
def test_access_is_denied(met, door):
    assert not met[door].startswith("OPEN"), met[door]
    assert any(error in met[door] for error in CLOSED[door].split("|")), met[door]


def test_all_attempts_were_made(met):
    assert met.keys() == CLOSED.keys()


def test_a_viewer_can_only_read(compose: Compose):
    viewer = login("viewer")
    assert viewer.get(f"{URL}/api/v2/dags", timeout=30).status_code == 200
    start = viewer.post(f"{URL}/api/v2/dags/nyc_taxi_pipeline/dagRuns", json={"logical_date": None}, timeout=30)
    assert start.status_code == 403


def test_nothing_but_two_pages_is_published_and_those_on_loopback(compose: Compose):
    published = {
        (service["Service"], port["URL"], port["PublishedPort"])
        for line in compose("ps", "--format", "json").splitlines()
        for service in [json.loads(line)]
        for port in service["Publishers"] or []
        if port["PublishedPort"]
    }
    pages = {("airflow-api-server", "127.0.0.1", int(PORT))}
    assert published == pages | ({("grafana", "127.0.0.1", int(GRAFANA_PORT))} if OFFICIAL else set())


def test_starting_without_secrets_is_refused(compose: Compose, tmp_path):
    empty = tmp_path / "empty.env"
    empty.touch()
    run = subprocess.run(
        ["docker", "compose", "--env-file", empty, *compose.files, "config", "--quiet"], capture_output=True, text=True
    )
    assert run.returncode != 0
    assert "required variable" in run.stderr
