"""Ports, secrets and folders: created once, kept, and refused by name if they are invalid."""

import errno
import json
import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from local import airflow, commands, config
from local.config import PlatformError

ODD = """json://user:p'a`ss$(date)%41@127.0.0.1/x y?#a;"b\\n=ä"""


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_generated_values_do_not_look_like_options():
    """One of 64 random texts in Base64 begins with `-`: a platform with such an ID for Kafka would never start."""
    made = [make() for make in (config.kafka_cluster_id, config.password) for _ in range(2_000)]

    assert [text for text in made if text.startswith("-")] == []
    assert len(set(made)) == len(made)
    assert {len(text) for text in made} == {22, 32}


def test_secrets_are_generated_once_and_differ(home):
    first = config.create()
    text = first.env_file.read_text()
    assert len({first.values[name] for name in config.SECRETS}) == len(config.SECRETS)
    assert min(len(first.values[name]) for name in config.SECRETS) >= 32

    assert config.create().values == first.values
    assert config.load().values == first.values
    assert (home / "env").read_text() == text


def test_two_platforms_share_no_port_secret_or_folder(home, monkeypatch):
    one = config.create()
    text = one.env_file.read_text()
    monkeypatch.setenv("LAKEHOUSE_HOME", str(home.with_name("other")))
    monkeypatch.setenv("PORT_BASE", "28000")
    other = config.create()

    assert {value for name, value in one.values.items() if other.values[name] == value} == {
        "",
        "lakehouse.io.LocalFileIO",
    }
    assert one.env_file.read_text() == text


def test_keys_of_an_object_store_are_only_stored_if_it_is_used(home, monkeypatch):
    with monkeypatch.context() as shell:
        shell.setenv("AWS_SECRET_ACCESS_KEY", "of something else")
        assert config.create().values["AWS_SECRET_ACCESS_KEY"] == ""
        shell.setenv("LAKEHOUSE_WAREHOUSE", "s3://lake/warehouse")
        shell.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:7070")
        stored = config.create().values
    assert config.create().values == stored
    assert (stored["AWS_SECRET_ACCESS_KEY"], stored["S3_PATH_STYLE_ACCESS"]) == ("of something else", "true")
    monkeypatch.setenv("LAKEHOUSE_WAREHOUSE", f"file://{home}/warehouse")
    assert config.create().values["ICEBERG_IO_IMPL"] == "lakehouse.io.LocalFileIO"


FROM, TO = "PIPELINE_NYC_TAXI_PICKUP_FROM", "PIPELINE_NYC_TAXI_PICKUP_TO"


@pytest.fixture
def shell(monkeypatch):
    """Create the platform as in a shell with these variables."""

    def create(**variables: str) -> config.Platform:
        with monkeypatch.context() as shell:
            for name, value in variables.items():
                shell.setenv(name, value)
            return config.create()

    return create


def test_parameters_of_pipelines_are_kept_and_reach_every_service(home, shell):
    given = shell(**{FROM: "2024-01-05 00:00:00", "PIPELINE": "x", "pipeline_a": "y"})
    assert given.values[FROM] == "2024-01-05 00:00:00"
    assert not given.values.keys() & {"PIPELINE", "pipeline_a", TO}

    shell(**{TO: "2024-01-06 00:00:00"})
    environment = airflow.environment(config.load())
    assert (environment[FROM], environment[TO]) == ("2024-01-05 00:00:00", "2024-01-06 00:00:00")


def test_an_empty_parameter_restores_the_declared_value(home, shell):
    assert FROM not in shell(**{FROM: ""}).values
    shell(**{FROM: "2024-01-05 00:00:00"})
    shell(**{FROM: ""})
    assert FROM not in airflow.environment(config.load())


def test_a_running_platform_refuses_other_parameters(home, shell, monkeypatch):
    shell(**{FROM: "2024-01-05 00:00:00"})
    commands.refuse_changes(config.declare())
    monkeypatch.setenv(FROM, "2024-01-06 00:00:00")
    with pytest.raises(PlatformError, match=rf"settings other than {FROM}=2024-01-06 00:00:00: make down first"):
        commands.refuse_changes(config.declare())


def test_the_warehouse_reserves_space_that_can_be_freed(home, monkeypatch, capsys):
    config.create()
    reserve = home / "warehouse" / "_reserve"
    assert reserve.stat().st_blocks * 512 >= 32 << 20
    reserve.unlink()
    config.create()
    assert reserve.exists()
    reserve.unlink()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    config.create()
    assert not reserve.exists()
    assert "No space left on device (docs/runbook.md, warehouse-full)" in capsys.readouterr().out


def test_only_the_owner_reads_secrets_and_data_under_any_umask(home):
    before = os.umask(0)
    try:
        config.create()
    finally:
        os.umask(before)
    assert _mode(home / "env") == 0o600
    # If run as root, PostgreSQL's account may traverse the folder; nobody else can read what is in it.
    assert _mode(home) == (0o711 if os.geteuid() == 0 else 0o700)
    folders = [path for path in home.rglob("*") if path.is_dir()]
    assert len(folders) == 9
    assert {_mode(folder) for folder in folders} == {0o700}


def test_a_secret_that_a_newer_version_needs_is_added(home):
    config.create()
    lines = (home / "env").read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith("AIRFLOW_JWT_SECRET")]
    (home / "env").write_text("".join(kept) + "# a remark, with don't = in it\nMY_OWN='a setting'\n")

    again = config.create()
    text = (home / "env").read_text()
    assert len(again.values["AIRFLOW_JWT_SECRET"]) >= 32
    assert again.values["MY_OWN"] == "a setting"
    assert [line for line in kept if line not in text] == []


@pytest.mark.parametrize(
    ("stored", "environment", "port"),
    [
        ({}, {}, 19092),
        ({"KAFKA_PORT": "20001"}, {}, 20001),
        ({"KAFKA_PORT": "20001"}, {"PORT_BASE": "28000"}, 28001),
        ({"KAFKA_PORT": "20001"}, {"PORT_BASE": "28000", "KAFKA_PORT": "20002"}, 20002),
        ({"KAFKA_PORT": "20001"}, {"KAFKA_PORT": ""}, 20001),
    ],
    ids=["default", "file", "base", "variable", "empty"],
)
def test_a_port_comes_from_the_source_with_precedence_and_is_kept(home, monkeypatch, stored, environment, port):
    """The file has the values of an earlier start."""
    home.mkdir()
    for variables in (stored, environment):
        with monkeypatch.context() as shell:
            for name, value in variables.items():
                shell.setenv(name, value)
            created = config.create()
    assert created.port("KAFKA_PORT") == port
    assert config.create().port("KAFKA_PORT") == port
    assert config.load().port("KAFKA_PORT") == port


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"KAFKA_PORT": "many"}, "KAFKA_PORT=many is not a port: give a number from 1024 to 65500"),
        ({"KAFKA_PORT": "80"}, "KAFKA_PORT=80 is not a port"),
        ({"KAFKA_PORT": "65501"}, "KAFKA_PORT=65501 is not a port"),
        ({"PORT_BASE": "2e4"}, "PORT_BASE=2e4 is not a port"),
        ({"PORT_BASE": "65495"}, "REGISTRY_PORT|FLINK_[A-Z]+_PORT=65501 is not a port"),
        ({"AIRFLOW_PORT": "15432"}, "POSTGRES_PORT and AIRFLOW_PORT are both 15432: give each a port of its own"),
    ],
)
def test_an_invalid_port_is_refused_by_name_before_anything_is_created(home, monkeypatch, environment, said):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(PlatformError, match=said):
        config.create()
    assert not home.exists()


def test_an_invalid_port_in_the_file_is_refused_by_name(home):
    config.create()
    with (home / "env").open("a") as file:
        file.write("AIRFLOW_PORT=eighty\n")
    with pytest.raises(PlatformError, match="AIRFLOW_PORT=eighty is not a port"):
        config.load()


@pytest.mark.parametrize("value", [ODD, "one line\nand another"], ids=["odd", "lines"])
def test_a_shell_reads_the_values_that_were_written(home, monkeypatch, value):
    monkeypatch.setenv("ALERTS_URL", value)
    written = config.create()
    monkeypatch.delenv("ALERTS_URL")
    assert config.create().values == written.values  # kept until it is set again
    assert written.values["ALERTS_URL"] == value

    show = f"{shlex.quote(sys.executable)} -c 'import json, os; print(json.dumps(dict(os.environ)))'"
    shell = f"set -a; . {shlex.quote(str(home / 'env'))}; {show}"
    run = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=30, env={"PATH": os.defpath})
    assert written.values.items() <= json.loads(run.stdout).items(), run.stderr


def test_without_a_platform_the_error_says_how_to_start_one(home):
    with pytest.raises(PlatformError, match=rf"there is no platform in {home} yet. Start one: make up"):
        config.load()
    assert not home.exists()


def test_a_truncated_file_is_refused(home):
    config.create()
    text = (home / "env").read_text()
    (home / "env").write_text(text[: text.index("AIRFLOW_SECRET_KEY")])
    with pytest.raises(PlatformError, match=r"env is damaged \(AIRFLOW_SECRET_KEY is missing\)"):
        config.load()


def test_a_file_with_an_unbalanced_quote_is_named(home):
    config.create()
    with (home / "env").open("a") as file:
        file.write("ALERTS_URL='json://\n")
    with pytest.raises(PlatformError, match=rf"{home}/env cannot be read .*fix the quotes in it"):
        config.load()


def test_a_folder_with_other_files_is_refused(home):
    """`make clean` deletes the folder: a home directory or a project must never become one."""
    (home / "thesis").mkdir(parents=True)
    home.chmod(0o750)
    with pytest.raises(PlatformError, match=rf"{home} is not a platform's folder and not empty \(it contains thesis\)"):
        config.create()
    assert [path.name for path in home.iterdir()] == ["thesis"]
    assert _mode(home) == 0o750


def test_a_failed_write_keeps_the_old_file_and_leaves_no_draft(tmp_path):
    path = tmp_path / "secret"
    config.write_private(path, "old")
    with pytest.raises(UnicodeEncodeError):
        config.write_private(path, "half of it \ud800 and the rest")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
