"""Runs dbt on Gold files in separate folders, without writing to the checkout."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner

PROJECT = Path(__file__).parents[2] / "include" / "dbt"


class Dbt:
    """dbt in this process, with the models of one pipeline, which are parsed once."""

    def __init__(self, scratch: Path, project: Path = PROJECT, pipeline: str = "nyc_taxi") -> None:
        self.pipeline = pipeline
        #: Folders for all dbt commands.
        self.options = ["--no-write-json", "--project-dir", project, "--profiles-dir", project]
        self.options += ["--target-path", scratch / "target", "--log-path", scratch / "logs"]
        self._manifest = None
        parsed = self.run(scratch / "gold.duckdb", "", "parse")
        assert parsed.success, parsed.exception
        self._manifest = parsed.result
        #: dbt's manifest.
        self.manifest: dict[str, Any] = self._manifest.writable_manifest().to_dict(omit_none=True)

    def run(self, file: Path, silver: str, *arguments: Any) -> Any:
        """Run a dbt command on a Gold file and a version of Silver; the result shows whether it succeeded."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LAKEHOUSE_PIPELINE", self.pipeline)
            patch.setenv("LAKEHOUSE_GOLD_PATH", str(file))
            patch.setenv("LAKEHOUSE_SOURCE_METADATA", silver)
            result = dbtRunner(manifest=self._manifest).invoke(["--quiet", *map(str, [*arguments, *self.options])])
        if self._manifest:
            DuckDBConnectionManager.env().close()  # otherwise dbt keeps the file open until its process ends
        return result


def statuses(result: Any) -> dict[str, str]:
    """The status of each node of a run, without hooks."""
    nodes = [node for node in result.result if node.node.resource_type != "operation"]
    return {node.node.name: str(node.status) for node in nodes}


class Gold:
    """A Gold file."""

    def __init__(self, dbt: Dbt, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.file = folder / "gold.duckdb"
        self.silver = ""
        self._dbt = dbt

    def dbt(self, *arguments: Any) -> Any:
        """Run a dbt command on the file and the version of Silver that it was built from."""
        return self._dbt.run(self.file, self.silver, *arguments)

    def build(self, silver: str, *arguments: str, command: str = "run") -> dict[str, str]:
        """Build all models from a version of Silver; return the status of each node, which must be a success."""
        self.silver = silver
        if not self.file.exists() and command == "run":
            assert self.dbt("seed").success
        result = self.dbt(command, *arguments)
        assert result.success, result.exception or [
            f"{node.node.name}: {node.message}" for node in result.result if node.status in ("error", "fail")
        ]
        return statuses(result)

    def copy(self, folder: Path, dbt: Dbt | None = None) -> Gold:
        """Copy the file, for this or another dbt."""
        other = Gold(dbt or self._dbt, folder)
        other.silver = self.silver
        shutil.copyfile(self.file, other.file)
        return other

    def query(self, sql: str) -> list[tuple]:
        """The rows of a query; none for a change."""
        with duckdb.connect(str(self.file)) as connection:
            return connection.execute(sql).fetchall()

    def rows(self) -> dict[str, list[tuple]]:
        """Name of table or view -> its rows, in a fixed order."""
        with duckdb.connect(str(self.file)) as connection:
            relations = connection.execute("select table_schema, table_name from information_schema.tables").fetchall()
            return {
                name: connection.execute(f"from {schema}.{name} order by all").fetchall() for schema, name in relations
            }
