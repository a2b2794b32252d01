"""The gate in front of Docker forwards requests that run the generator, rewritten, and refuses all others."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest
from docker import APIClient
from docker.types import LogConfig, Mount

from lakehouse.waiting import wait_until

IMAGE, NETWORK, CERTIFICATES, MEMORY = "lakehouse/airflow:1", "lakehouse_data", "lakehouse_tls-generator", 2**29
OURS, FOREIGN = "a" * 64, "b" * 64
CREATE = "POST /v1.41/containers/create"
ARGUMENTS = ["--events=5", "--pickup-from=2024-01-01 00:00:00", "--summary=-"]


@pytest.fixture
def asked() -> dict:
    """A request to create the container, as the Docker operator sends it."""
    client = APIClient("unix:///nowhere", version="1.41")
    return client.create_container_config(
        IMAGE,
        ARGUMENTS,
        environment={"KAFKA_PASSWORD": "secret"},
        entrypoint=["python", "-m", "taxi_generator"],
        host_config=client.create_host_config(
            mounts=[Mount("/tls", CERTIFICATES, read_only=True)],
            network_mode=NETWORK,
            mem_limit=MEMORY,
            cpu_shares=1024,
            log_config=LogConfig(config={}),
            privileged=False,
            port_bindings={},
        ),
    )


def changed(asked: dict, path: str, value: object) -> bytes:
    """The request with another value of a field."""
    *parents, name = path.split(".")
    asked = deepcopy(asked)
    inner = asked
    for parent in parents:
        inner = inner[parent]
    inner[name] = value
    return json.dumps(asked).encode()


def test_the_specification_is_written_from_scratch(gate, docker, asked):
    assert gate.request(f"{CREATE}?name=x&platform=y", json.dumps(asked).encode()).startswith("HTTP/1.0 200")
    [(request, body)] = docker.got
    created = json.loads(body)
    assert request == "POST /containers/create"
    assert (created["Image"], created["Cmd"], created["Env"]) == (IMAGE, ARGUMENTS, ["KAFKA_PASSWORD=secret"])
    assert created.keys() == {
        "Image",
        "Entrypoint",
        "AttachStdout",
        "AttachStderr",
        "Labels",
        "HostConfig",
        "Cmd",
        "Env",
    }
    host = created["HostConfig"]
    assert (host["NetworkMode"], host["Memory"], host["CapDrop"]) == (NETWORK, MEMORY, ["ALL"])
    assert host["Mounts"] == [{"Type": "volume", "Source": CERTIFICATES, "Target": "/tls", "ReadOnly": True}]
    assert not host.keys() & {"Binds", "Privileged", "CapAdd", "Devices"}


def test_limits_apply_even_if_they_are_not_requested(gate, docker):
    gate.request(CREATE, json.dumps({"Cmd": [], "Env": [], "HostConfig": {"NetworkMode": ""}}).encode())
    created = json.loads(docker.got[0][1])
    assert (created["Image"], created["HostConfig"]["NetworkMode"]) == (IMAGE, NETWORK)


ROOT = {"Type": "bind", "Source": "/", "Target": "/tls"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("Image", "alpine"),
        ("image", "alpine"),
        ("Entrypoint", ["sh"]),
        ("User", "root"),
        ("Volumes", {"/": {}}),
        ("Labels", {"lakehouse.docker-gate": "another"}),
        ("NetworkingConfig", {"EndpointsConfig": {"bridge": {}}}),
        ("Healthcheck", {"Test": ["CMD", "sh"]}),
        ("hostconfig", {"Privileged": True}),
        ("HostConfig.Binds", ["/:/host"]),
        ("HostConfig.binds", ["/:/host"]),
        ("HostConfig.Mounts", [ROOT]),
        ("HostConfig.Mounts", [{"Type": "volume", "Source": "lakehouse_ca", "Target": "/tls", "ReadOnly": True}]),
        ("HostConfig.Mounts", [{"Type": "volume", "Source": CERTIFICATES, "Target": "/tls", "ReadOnly": False}]),
        ("HostConfig.Privileged", True),
        ("HostConfig.privileged", True),
        ("HostConfig.CapAdd", ["SYS_ADMIN"]),
        ("HostConfig.Devices", [{"PathOnHost": "/dev/sda"}]),
        ("HostConfig.DeviceCgroupRules", ["a *:* rwm"]),
        ("HostConfig.PidMode", "host"),
        ("HostConfig.IpcMode", "host"),
        ("HostConfig.UsernsMode", "host"),
        ("HostConfig.CgroupParent", "/"),
        ("HostConfig.VolumesFrom", ["x"]),
        ("HostConfig.Runtime", "other"),
        ("HostConfig.Sysctls", {"kernel.core_pattern": "|x"}),
        ("HostConfig.SecurityOpt", ["seccomp=unconfined"]),
        ("HostConfig.NetworkMode", "host"),
        ("HostConfig.NetworkMode", f"container:{FOREIGN}"),
        ("HostConfig.PortBindings", {"80/tcp": [{}]}),
        ("HostConfig.Memory", 2**40),
        ("HostConfig.RestartPolicy", {"Name": "always"}),
        ("HostConfig.LogConfig", {"Type": "syslog", "Config": {}}),
        ("Cmd", ["--config=/etc/passwd"]),
        ("Cmd", ["--source=/etc/passwd"]),
        ("Cmd", ["--summary=/tmp/x"]),
        ("Cmd", ["--events", "5"]),
        ("Cmd", ["--topic=x\n"]),
        ("Cmd", "--events=5"),
        ("Env", ["LD_PRELOAD=/tmp/x"]),
        ("Env", ["PYTHONPATH"]),
        ("Env", {"KAFKA_PASSWORD": "x"}),
    ],
)
def test_another_container_is_refused(gate, docker, asked, path, value):
    answer = gate.request(CREATE, changed(asked, path, value))
    assert answer.startswith("HTTP/1.1 403"), answer
    assert path.rpartition(".")[2] in answer
    assert docker.got == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"Image": "alpine", "Image": "lakehouse/airflow:1", "Cmd": [], "Env": []}',
        b'{"Cmd": [], "Env": [], "HostConfig": {"Memory": 0, "Memory": 1}}',
        b'{"Cmd": [], "Env": [], "HostConfig": [{"Privileged": true}]}',
        b"[]",
        b"{",
        b"[" * 60_000,
        b"\xff\xfe",
        b"",
    ],
)
def test_an_ambiguous_body_is_refused(gate, docker, body):
    assert gate.request(CREATE, body).startswith("HTTP/1.1 403")
    assert docker.got == []


@pytest.mark.parametrize(
    "request_",
    [
        "GET /info",
        "GET /containers/json",
        "GET /volumes",
        "POST /volumes/create",
        "POST /images/create?fromImage=alpine",
        "POST /build",
        "POST /session",
        "GET /secrets",
        "POST /swarm/init",
        "GET /images/lakehouse/json",
        f"POST /containers/{OURS}/exec",
        f"POST /exec/{OURS}/start",
        f"POST /containers/{OURS}/update",
        f"PUT /containers/{OURS}/archive?path=/",
        f"GET /containers/{OURS}/archive?path=/etc",
        f"GET /containers/{OURS}/../{FOREIGN}/json",
        f"GET /containers/{OURS}%2f..%2f{FOREIGN}/json",
        f"GET /containers/{OURS}/json/",
        f"GET //containers/{OURS}/json",
        f"DELETE /containers/{OURS}/start",
        f"DELETE /containers/{OURS[:12]}",
        "DELETE /containers/lakehouse-postgres-1",
        f"GET /v1.41/v1.41/containers/{OURS}/json",
        f"GET http://docker/containers/{OURS}/json",
    ],
)
def test_another_request_is_refused(gate, docker, request_):
    assert gate.request(request_).startswith("HTTP/1.1 403")
    assert docker.got == []


@pytest.mark.parametrize("what", ["json", "attach", "start", "wait", "stop", ""])
def test_foreign_containers_are_not_accessible(gate, docker, what):
    method = {"json": "GET", "": "DELETE"}.get(what, "POST")
    path = f"/containers/{FOREIGN}/{what}".rstrip("/")
    assert gate.request(f"{method} {path}").startswith("HTTP/1.1 404")
    assert docker.got == [(f"GET /containers/{FOREIGN}/json", b"")]


@pytest.mark.parametrize(
    ("received", "forwarded"),
    [
        (f"POST /v1.41/containers/{OURS}/start?detachKeys=x", f"POST /containers/{OURS}/start"),
        (f"POST /containers/{OURS}/wait?condition=removed", f"POST /containers/{OURS}/wait"),
        (f"DELETE /v1.41/containers/{OURS}?v=0&link=1", f"DELETE /containers/{OURS}?force=1&v=1"),
        (
            """GET /v1.41/images/json?filters={"reference":["alpine"]}""",
            "GET /images/json?filters=%7B%22reference%22%3A%20%5B%22lakehouse/airflow%3A1%22%5D%7D",
        ),
    ],
)
def test_a_clients_query_is_never_forwarded(gate, docker, received, forwarded):
    assert gate.request(received, b'{"Binds": ["/:/host"]}').startswith("HTTP/1.0 200")
    assert docker.got[-1] == (forwarded, b"")


@pytest.mark.parametrize(
    "headers",
    [
        ["Transfer-Encoding: chunked"],
        ["transfer-encoding : chunked"],
        ["Content-Length: 0"],
        ["content-length : 5"],
    ],
)
def test_a_body_has_one_declared_length(gate, docker, headers):
    assert gate.request("GET /_ping", b"", *headers).startswith("HTTP/1.1 403")
    assert docker.got == []


@pytest.mark.parametrize("length", ["-1", "+1", "1_0", "0x10", "99999", "9999999", "", "²"])
def test_a_length_is_a_small_number(gate, docker, length):
    answer = gate.send(f"{CREATE} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode("latin-1"))
    assert answer.startswith("HTTP/1.1 403")
    assert docker.got == []


def test_the_size_of_headers_is_limited(gate, docker):
    assert gate.request("GET /_ping", b"", f"X: {'x' * 10_000}").startswith("HTTP/1.1 403")
    assert docker.got == []


@pytest.mark.parametrize("second", ["POST /containers/create", "GET /containers/json"])
def test_a_connection_has_one_request(gate, docker, second):
    answer = gate.send(b"GET /_ping HTTP/1.1\r\n\r\n" + f"{second} HTTP/1.1\r\nContent-Length: 2\r\n\r\n{{}}".encode())
    assert answer.count("HTTP/1.") == 1
    assert docker.got == [("GET /_ping", b"")]


def test_no_input_is_sent_to_an_attached_container(gate, docker):
    upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello"
    with gate.connect(f"POST /containers/{OURS}/attach?stdin=1 HTTP/1.1\r\n{upgrade}".encode()) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.0 200")
        gate.request(f"POST /containers/{OURS}/stop")
    attached = f"POST /containers/{OURS}/attach?stream=1&stdout=1&stderr=1"
    assert (attached, b"") in docker.got
    wait_until(lambda: docker.input is not None, "the container to end", 10)
    assert docker.input == b""
    assert f"DELETE /containers/{OURS}?force=1&v=1" not in [request for request, _ in docker.got]


def test_a_container_is_stopped_when_its_client_disconnects(gate, docker):
    with gate.connect(f"POST /containers/{OURS}/attach HTTP/1.1\r\n\r\n".encode()) as connection:
        assert connection.recv(100)
    ends = [(f"POST /containers/{OURS}/stop?t=5", b""), (f"DELETE /containers/{OURS}?force=1&v=1", b"")]
    wait_until(lambda: docker.got[-2:] == ends, "the container to be removed", 10)


def test_without_docker_the_error_names_the_setting(gate, tmp_path):
    (tmp_path / "docker").unlink()
    answer = gate.request("GET /_ping")
    assert answer.startswith("HTTP/1.1 502")
    assert "DOCKER_SOCKET" in answer
