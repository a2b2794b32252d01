"""Passwords and keys of the containers: generated once, readable only by their owner."""

from __future__ import annotations

import os
import socket
import stat

import pytest

from compose import secrets

DECLARED = "a: ${ONE_PASSWORD:?make compose-up}\nb: ${ONE_PASSWORD:?}\nc: ${AIRFLOW_FERNET_KEY:?}\nd: ${PORT:-8080}\n"


@pytest.fixture
def env(tmp_path, monkeypatch):
    declared = tmp_path / "docker-compose.yaml"
    declared.write_text(DECLARED)
    monkeypatch.setattr(secrets, "DECLARED", declared)
    monkeypatch.setattr(secrets, "FILE", tmp_path / ".env")
    return tmp_path / ".env"


def test_missing_secrets_are_generated_once(env):
    values = secrets.complete()
    assert values.keys() == {"ONE_PASSWORD", "AIRFLOW_FERNET_KEY"}
    assert len(values["ONE_PASSWORD"]) >= 32
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    text = env.read_text()
    assert secrets.complete() == values
    assert env.read_text() == text


def test_existing_content_is_kept(env):
    env.write_text("# mine\nAIRFLOW_PORT=9000\nONE_PASSWORD=\n")
    values = secrets.complete()
    assert values["AIRFLOW_PORT"] == "9000"
    assert values["ONE_PASSWORD"]  # an empty value counts as missing
    lines = env.read_text().splitlines()
    assert lines[:2] == ["# mine", "AIRFLOW_PORT=9000"]
    assert len([line for line in lines if line.startswith("ONE_PASSWORD=")]) == 1


def test_finding_dockers_socket(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    assert secrets.docker_socket() == os.devnull
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "docker.sock"))
        assert secrets.docker_socket() == f"{tmp_path}/docker.sock"
    monkeypatch.setenv("DOCKER_HOST", "ssh://elsewhere")
    assert secrets.docker_socket() == os.devnull
