"""The procedures in a Flink without the platform, as described in their README."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from lakehouse.waiting import wait_until
from local.config import JARS, ROOT, site_packages
from local.java import java

FLINK = site_packages() / "pyflink"
README = ROOT / "flink" / "iceberg-procedures" / "README.md"
JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
LIMIT_S = 120
CONFIG = """
rest.address: 127.0.0.1
rest.bind-address: 127.0.0.1
rest.port: {rest}
jobmanager.rpc.address: 127.0.0.1
jobmanager.bind-host: 127.0.0.1
jobmanager.rpc.port: {rpc}
blob.server.port: 0
taskmanager.host: 127.0.0.1
taskmanager.bind-host: 127.0.0.1
taskmanager.numberOfTaskSlots: 2
taskmanager.cpu.cores: 1
taskmanager.memory.framework.heap.size: 128m
taskmanager.memory.framework.off-heap.size: 128m
taskmanager.memory.task.heap.size: 384m
taskmanager.memory.task.off-heap.size: 0
taskmanager.memory.network.min: 64m
taskmanager.memory.network.max: 64m
taskmanager.memory.managed.size: 64m
taskmanager.memory.jvm-metaspace.size: 256m
taskmanager.memory.jvm-overhead.min: 192m
taskmanager.memory.jvm-overhead.max: 192m
execution.target: remote
execution.checkpointing.dir: file://{folder}/flink-state/checkpoints
io.tmp.dirs: {folder}/tmp
"""


class PlainFlink:
    """A JobManager and a TaskManager on the loopback address, with the README's jars in `lib`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen] = []
        (folder / "tmp").mkdir()
        (folder / "flink-state").mkdir()
        ports = {name: _free_port() for name in ("rest", "rpc")}
        (folder / "config.yaml").write_text(CONFIG.format(folder=folder, **ports))
        self.jobs = f"http://127.0.0.1:{ports['rest']}/taskmanagers"
        # The gateway is in the `opt` folder of Flink's distribution, unlike in that from PyPI.
        others = ("flink-sql-gateway-*.jar", "iceberg-flink-*.jar", "hadoop-client-*.jar")
        self.jars = [
            *(FLINK / "lib").glob("*.jar"),
            *(FLINK / "opt").glob("flink-*.jar"),  # the SQL client, which also parses Python's options
            *(jar for name in others for jar in (JARS / "flink").glob(name)),
        ]

    def start(self) -> None:
        for main in (JOB_MANAGER, TASK_MANAGER):
            with (self.folder / f"{main.rpartition('.')[2]}.log").open("w") as log:
                self.processes.append(
                    subprocess.Popen(
                        self._java(main, "--configDir", str(self.folder)), stdout=log, stderr=log, env=self._env()
                    )
                )
        wait_until(self._registered, "the TaskManager to register", LIMIT_S)

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
            process.wait(30)

    def sql(self, script: str) -> str:
        """The SQL client's output for these statements."""
        file = self.folder / "script.sql"
        file.write_text(script)
        run = subprocess.run(
            self._java("org.apache.flink.table.client.SqlClient", "-f", str(file)),
            env=self._env(), capture_output=True, text=True, timeout=LIMIT_S,
        )  # fmt: skip
        return run.stdout + run.stderr

    def _registered(self) -> bool:
        assert [process.poll() for process in self.processes] == [None, None], f"it ended: see {self.folder}/*.log"
        try:
            return bool(requests.get(self.jobs, timeout=5).json()["taskmanagers"])
        except requests.RequestException:
            return False

    def _java(self, *arguments: str) -> list[str]:
        opens = [f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in ("util", "lang", "time", "nio")]
        return [*java(self.folder), "-XX:TieredStopAtLevel=1", *opens, "-cp", ":".join(map(str, self.jars)), *arguments]

    def _env(self) -> dict[str, str]:
        folders = {
            "FLINK_CONF_DIR": self.folder,
            "FLINK_LIB_DIR": FLINK / "lib",
            "FLINK_PLUGINS_DIR": FLINK / "plugins",
        }
        return {name: str(path) for name, path in folders.items()} | {"HOME": str(self.folder)}


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@pytest.fixture
def flink(tmp_path: Path) -> Iterator[PlainFlink]:
    flink = PlainFlink(tmp_path)
    try:
        flink.start()
        yield flink
    finally:
        flink.stop()


def test_the_readme_works_in_the_sql_client(flink, tmp_path):
    script = re.search(r"```sql\n(CREATE CATALOG .*?)```", README.read_text(), re.DOTALL)[1]

    output = flink.sql(script.replace("/tmp/", f"{tmp_path}/"))

    assert "ERROR" not in output, output
    assert "[INFO] Execute statement succeeded." in output
    rows = [line.split("|")[1:-1] for line in output.splitlines() if re.match(r"\| +\d", line)]
    assert [[cell.strip() for cell in row] for row in rows][-2:] == [["1", "10.5"], ["2", "7.0"]], output
