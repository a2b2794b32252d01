"""Backups have a manifest; incomplete or unsuitable ones are refused before anything is written."""

from __future__ import annotations

import io
import json
import os
import stat
import tarfile
from pathlib import Path

import pytest

from compose.backup import archive, create, manifest, restore
from compose.backup.docker import Compose, Stream
from local.config import PlatformError


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A complete backup with one file and the secrets."""
    folder = tmp_path / "backup"
    folder.mkdir()
    (folder / "store.tar").write_bytes(b"x" * 100)
    (folder / "env").write_text("AIRFLOW_FERNET_KEY=a\nKAFKA_CLUSTER_ID=b\nOTHER_PASSWORD=c\n")
    sums = {name: manifest.checksum(folder / name) for name in ("store.tar", "env")}
    manifest.describe(folder, {"made_at": "2026-01-01T00:00:00+00:00"}, sums)
    return folder


def test_a_complete_backup_is_accepted(backup):
    assert manifest.checked(backup)["files"]["store.tar"]["bytes"] == 100


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "not a complete backup"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "is damaged"),
        (lambda folder: (folder / "store.tar").unlink(), "store.tar is missing"),
        (lambda folder: (folder / "store.tar").write_bytes(b"x" * 99), "99 bytes instead of 100"),
        (lambda folder: (folder / "store.tar").write_bytes(b"y" * 100), "store.tar has the checksum"),
        (
            lambda folder: (folder / "manifest.json").write_text(
                (folder / "manifest.json").read_text().replace('"format": 1', '"format": 2')
            ),
            "has format 2",
        ),
    ],
    ids=["no manifest", "truncated manifest", "missing file", "truncated file", "changed file", "other format"],
)
def test_an_incomplete_backup_is_refused(backup, damage, message):
    damage(backup)
    with pytest.raises(PlatformError, match=message) as refused:
        manifest.checked(backup)
    assert "Next:" in str(refused.value)


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """A stub of the `docker` command that records its arguments, and runs the test's shell code."""
    script, calls = tmp_path / "bin" / "docker", tmp_path / "calls"
    script.parent.mkdir()

    def stub(code: str) -> Path:
        script.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n{code}\n')
        script.chmod(0o755)
        return calls

    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(restore, "ENV", tmp_path / ".env")
    monkeypatch.setattr(create, "ENV", tmp_path / ".env")
    return stub


def test_an_existing_project_is_not_changed(backup, docker, tmp_path):
    calls = docker(
        """case "$*" in *config*) echo '{"name": "mine"}' ;; volume*) printf 'mine_store\\nmine_kafka\\n' ;; esac"""
    )
    with pytest.raises(PlatformError, match=r"mine already has volumes \(mine_kafka and 1 more\): nothing was written"):
        restore.restore(Compose(), backup)
    assert not (tmp_path / ".env").exists()
    assert not any(command in calls.read_text() for command in ("build", "up ", "run", "exec"))


def test_a_damaged_backup_is_refused_before_docker_is_called(backup, docker):
    calls = docker("exit 1")
    (backup / "store.tar").write_bytes(b"")
    with pytest.raises(PlatformError, match="damaged"):
        restore.restore(Compose(), backup)
    assert not calls.exists()


def test_other_keys_are_refused(backup, docker, tmp_path):
    docker("exit 1")
    (tmp_path / ".env").write_text("AIRFLOW_FERNET_KEY=another\n")
    with pytest.raises(PlatformError, match="another AIRFLOW_FERNET_KEY than the backup"):
        restore.restore(Compose(), backup)


def test_existing_secrets_are_kept_and_missing_ones_come_from_the_backup(backup, docker, tmp_path):
    (tmp_path / ".env").write_text("# mine\nAIRFLOW_PORT=9000\nOTHER_PASSWORD=new\n")
    assert restore._secrets(backup / "env").splitlines() == [
        "# mine",
        "AIRFLOW_PORT=9000",
        "OTHER_PASSWORD=new",
        "AIRFLOW_FERNET_KEY=a",
        "KAFKA_CLUSTER_ID=b",
    ]


def test_a_failed_backup_leaves_nothing(docker, tmp_path):
    (tmp_path / ".env").write_text("A=b\n")
    docker(f"""case "$*" in *config*) echo '{{"name": "mine"}}' ;; *ps*) printf '{" ".join(create.NEEDED)}' ;;
        *pg_dump*) echo "no such database" >&2; exit 1 ;; esac""")
    with pytest.raises(PlatformError, match=r"airflow\.dump could not be written by .*: no such database"):
        create.create(Compose(), tmp_path / "backups")
    assert list((tmp_path / "backups").iterdir()) == []


def test_a_service_that_is_down_is_reported(docker, tmp_path):
    docker("case \"$*\" in *ps*) printf 'postgres kafka object-store airflow-scheduler' ;; esac")
    with pytest.raises(PlatformError, match="flink-jobmanager is not running"):
        create.create(Compose(), tmp_path / "backups")


def test_waiting_until_a_service_is_healthy_again(docker, tmp_path):
    calls = docker(f"test $(wc -l < {tmp_path}/calls) -ge 3 && echo healthy || echo unhealthy")
    Compose().await_health("kafka")
    assert len(calls.read_text().splitlines()) == 3
    docker("echo unhealthy")
    with pytest.raises(PlatformError, match=r"kafka is unhealthy after 0\.1 s"):
        Compose().await_health("kafka", 0.1)


def test_a_stream_is_written_to_a_private_file(docker, tmp_path):
    docker('echo ready >&2; read line; printf "read $line"')
    stream = Stream(Compose(), tmp_path / "out", "run")
    stream.await_line("ready")
    checksum = stream.finish(b"now\n")
    assert (tmp_path / "out").read_text() == "read now"
    assert checksum == manifest.checksum(tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600


@pytest.fixture
def volumes(tmp_path, monkeypatch) -> Path:
    for name in ("store", "gold", "kafka"):
        (tmp_path / "volumes" / name).mkdir(parents=True)
    monkeypatch.setattr(archive, "VOLUMES", tmp_path / "volumes")
    return tmp_path / "volumes"


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


class Quiesced(io.BytesIO):
    """The input of `pack`: calls a function at the moment when the platform is quiesced."""

    def __init__(self, act) -> None:
        super().__init__(b"now\n")
        self.act = act

    def readline(self, *arguments):
        self.act()
        return super().readline(*arguments)


def packed(act, *names: str) -> io.BytesIO:
    out = io.BytesIO()
    archive.pack([*names], out, Quiesced(act))
    out.seek(0)
    return out


def unpacked(volumes: Path, stream: io.BytesIO, *names: str) -> dict[str, str]:
    """The files that `unpack` leaves in empty volumes."""
    for name in names:
        (volumes / name).rename(volumes.parent / f"{name}-before")
        (volumes / name).mkdir()
    archive.unpack([*names], stream)
    files = (path for name in names for path in (volumes / name).rglob("*") if path.is_file())
    return {str(path.relative_to(volumes)): path.read_text() for path in files}


def test_files_are_as_of_when_the_platform_was_quiesced(volumes):
    store = volumes / "store" / "lakehouse"
    write(store / "kept", "1")
    write(store / "deleted", "1")
    write(store / "changed", "1")
    write(store / ".sgwtmp" / "draft", "1")
    os.utime(store / "kept", (1e9, 1e9))

    def meanwhile():
        (store / "deleted").unlink()
        write(store / "draft", "2")
        (store / "draft").rename(store / "changed")
        write(store / "flink" / "added", "2")

    held = unpacked(volumes, packed(meanwhile, "store"), "store")
    assert held == {"store/lakehouse/kept": "1", "store/lakehouse/changed": "2", "store/lakehouse/flink/added": "2"}
    assert (store / "kept").stat().st_mtime == 1e9


def test_attributes_of_objects_and_buckets_are_restored(volumes):
    store = volumes / "store" / "lakehouse"
    write(store / "object", "1")
    os.setxattr(store / "object", "user.etag", b"\xff1")
    os.setxattr(store, "user.policy", b"{}")
    unpacked(volumes, packed(lambda: None, "store"), "store")
    assert (os.getxattr(store / "object", "user.etag"), os.getxattr(store, "user.policy")) == (b"\xff1", b"{}")


def test_active_segments_of_kafka_are_copied_when_it_is_paused(volumes):
    partition = volumes / "kafka" / "trips-0"
    for segment in ("000", "100"):
        write(partition / f"{segment}.log", "1")
    write(volumes / "kafka" / ".lock", "")
    immutable = []
    stream = packed(
        lambda: (immutable.extend(archive._immutable("kafka")), write(partition / "100.log", "12")), "kafka"
    )
    assert [path.name for path in immutable] == ["000.log"]
    assert unpacked(volumes, stream, "kafka") == {"kafka/trips-0/000.log": "1", "kafka/trips-0/100.log": "12"}


def test_published_gold_files_are_copied_without_builds(volumes):
    for pipeline in ("trains", "buses"):
        write(volumes / "gold" / pipeline / "gold.duckdb", pipeline)
        write(volumes / "gold" / pipeline / "runs" / "a" / "gold.duckdb", "half-built")
    held = unpacked(volumes, packed(lambda: None, "gold"), "gold")
    assert held == {"gold/buses/gold.duckdb": "buses", "gold/trains/gold.duckdb": "trains"}


def test_a_volume_that_is_not_empty_is_not_changed(volumes):
    write(volumes / "store" / "mine", "1")
    stream = packed(lambda: None, "store")
    with pytest.raises(SystemExit, match="store is not empty"):
        archive.unpack(["store"], stream)


def test_a_truncated_archive_is_reported(volumes):
    write(volumes / "store" / "a", "1")
    whole = packed(lambda: None, "store")
    with tarfile.open(fileobj=whole) as tar:
        end = tar.getmember(archive.INDEX).offset
    with pytest.raises(SystemExit, match="lacks its index"):
        unpacked(volumes, io.BytesIO(whole.getvalue()[:end] + bytes(10240)), "store")


def test_files_of_the_catalog_and_the_jobs_must_be_in_the_archive(volumes, tmp_path):
    write(volumes / "store" / "lakehouse" / "t" / "1.json", "1")
    (tmp_path / "store.tar").write_bytes(packed(lambda: None, "store").getvalue())
    point = {"tables": {"a.t": "s3://lakehouse/t/1.json"}, "states": {"bronze": None}}
    create._check(tmp_path / "store.tar", point)
    point["states"]["bronze"] = "s3://lakehouse/flink/savepoint-1"
    with pytest.raises(PlatformError, match="lacks store/lakehouse/flink/savepoint-1/_metadata"):
        create._check(tmp_path / "store.tar", json.loads(json.dumps(point)))
