"""Flink's command lines: memory as computed by Flink, class path depending on the warehouse."""

import dataclasses

import pytest
import yaml

from local import flink
from local.config import PlatformError


@pytest.fixture
def configured(platform):
    flink.configure(platform)
    return platform


def _class_path(command: list[str]) -> str:
    return command[command.index("-cp") + 1]


def test_memory_is_computed_by_flink_and_cached_until_its_configuration_changes(configured, monkeypatch):
    command = flink.taskmanager(configured)
    heap = (64 + 320) * 1024 * 1024  # framework and task heap of the template
    assert f"-Xmx{heap}" in command
    slots = yaml.safe_load(flink.COMMON.read_text())["taskmanager.numberOfTaskSlots"]
    assert f"taskmanager.numberOfTaskSlots={slots}" in command

    with monkeypatch.context() as without:
        without.setattr(flink.java, "java", lambda _: ["/nowhere/java"])
        assert flink.taskmanager(configured) == ["nice", "/nowhere/java", *command[command.index(f"-Xmx{heap}") :]]

    config = configured.home / "flink" / "conf" / "config.yaml"
    config.write_text(config.read_text().replace("task.heap.size: 320m", "task.heap.size: 321m"))
    assert f"-Xmx{heap + 1024 * 1024}" in flink.taskmanager(configured)


def test_memory_settings_that_flink_refuses_are_reported(configured):
    config = configured.home / "flink" / "conf" / "config.yaml"
    config.write_text(config.read_text().replace("task.heap.size: 320m", "task.heap.size: much"))
    with pytest.raises(PlatformError, match=rf"Flink refuses the memory settings of {config}: (?s:.*)much"):
        flink.taskmanager(configured)


@pytest.mark.parametrize(("warehouse", "loaded"), [("file:///data", False), ("s3://lake/house", True)])
def test_the_aws_jar_is_only_loaded_for_a_warehouse_on_s3(platform, warehouse, loaded):
    platform = dataclasses.replace(platform, values=platform.values | {"LAKEHOUSE_WAREHOUSE": warehouse})
    class_path = _class_path(flink.gateway(platform))
    assert ("iceberg-aws-bundle" in class_path) == loaded
    assert "iceberg-flink-runtime" in class_path
    assert "flink-sql-gateway" in class_path
    assert "flink-dist" in class_path


def test_rocksdb_does_not_name_a_file_after_a_path(configured):
    """In a folder with a long path that name would be too long, and no job with state would start."""
    config = yaml.safe_load((configured.home / "flink" / "conf" / "config.yaml").read_text())
    assert "state.backend.rocksdb.log.dir" not in config
    assert not [option for option in flink.taskmanager(configured) if option.startswith("-Dlog.file")]
    assert config["taskmanager.log.path"] == str(configured.logs / "flink-taskmanager.log")
