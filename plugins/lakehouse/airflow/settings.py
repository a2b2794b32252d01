"""Connections, pools and variables from `airflow_settings.yaml` (Astro's format), the only place where they are declared.

`${NAME}` in the file is replaced from the environment; a name that is not set is an error, unless the file gives a default
(`${NAME:-default}`). `python -m lakehouse.airflow.settings` imports all of them into Airflow's metadata database and overwrites
existing ones.
"""

from __future__ import annotations

import json
import os
import string
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lakehouse.paths import REPOSITORY
from lakehouse.pipelines.load import enabled_pipelines

SETTINGS_FILE = REPOSITORY / "airflow_settings.yaml"


class SettingsError(ValueError):
    """`airflow_settings.yaml` is invalid or incomplete; the message names the entry."""


@dataclass(frozen=True)
class AirflowSettings:
    """What the file declares, in the format of Airflow's `import` commands.

    :param connections: conn_id -> connection fields (`conn_type`, `host`, ..., `extra`)
    :param pools: pool name -> {"slots": int, "description": str, "include_deferred": bool}
    :param variables: key -> value (text, number, or a JSON structure)
    """

    connections: dict[str, dict[str, Any]]
    pools: dict[str, dict[str, Any]]
    variables: dict[str, Any]

    def environment(self) -> dict[str, str]:
        """Connections and variables as Airflow's `AIRFLOW_CONN_*` and `AIRFLOW_VAR_*` environment variables."""
        conns = {f"AIRFLOW_CONN_{key.upper()}": json.dumps(fields) for key, fields in self.connections.items()}
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in self.variables.items()}
        return conns | {f"AIRFLOW_VAR_{key.upper()}": text for key, text in texts.items()}


def load(path: Path = SETTINGS_FILE, environment: Mapping[str, str] = os.environ) -> AirflowSettings:
    """Read the file and replace its placeholders.

    :raises SettingsError: a placeholder is not set in `environment`, or an entry lacks its name
    """
    try:
        declared = _filled(yaml.safe_load(path.read_text()), environment)["airflow"]
        return AirflowSettings(
            connections={c["conn_id"]: _connection(c) for c in declared["connections"]},
            pools={
                p["pool_name"]: {
                    "slots": _slots(p),
                    "description": p["pool_description"],
                    "include_deferred": False,
                }
                for p in declared["pools"]
            },
            variables={v["variable_name"]: v["variable_value"] for v in declared["variables"]},
        )
    except KeyError as error:
        raise SettingsError(
            f"{path.name}: {error} is not set. Next: set a ${{NAME}} in the environment (`.local/env` after `make up`), or add "
            "a missing field (Astro's format)."
        ) from error


def _slots(pool: Mapping[str, Any]) -> int:
    """As declared; but at least one per pipeline in the pool `dbt`, so that no build waits for another pipeline's."""
    declared = pool["pool_slot"]
    return max(declared, len(enabled_pipelines())) if pool["pool_name"] == "dbt" else declared


class _Template(string.Template):
    """`${NAME}` and `${NAME:-default}`, as in a shell: the default also applies when the value is empty."""

    braceidpattern = r"[A-Z][A-Z0-9_]*(?::-[^}]*)?"


@dataclass(frozen=True)
class _Values:
    environment: Mapping[str, str]

    def __getitem__(self, placeholder: str) -> str:
        name, has_default, default = placeholder.partition(":-")
        return self.environment.get(name) or default if has_default else self.environment[name]


def _filled(node: Any, environment: Mapping[str, str]) -> Any:
    """Replace the placeholders after parsing, in each string: a value must not be parsed as YAML."""
    match node:
        case str():
            return _Template(node).substitute(_Values(environment))  # type: ignore[arg-type]  # only __getitem__ is used
        case dict():
            return {key: _filled(value, environment) for key, value in node.items()}
        case list():
            return [_filled(value, environment) for value in node]
    return node


def _connection(declared: Mapping[str, Any]) -> dict[str, Any]:
    port = declared.get("conn_port")
    extra = {name: value for name, value in (declared.get("conn_extra") or {}).items() if value != ""}
    fields = {
        "conn_type": declared["conn_type"],
        "host": declared.get("conn_host"),
        "schema": declared.get("conn_schema"),
        "login": declared.get("conn_login"),
        "password": declared.get("conn_password"),
        "port": None if port is None else int(port),
        "extra": extra,
    }
    return {name: value for name, value in fields.items() if value not in (None, "", {})}


def apply_to_environment() -> None:
    """Make the file's connections and variables visible to this process, outside of any task."""
    os.environ.update(load().environment())


def import_into_airflow(settings: AirflowSettings) -> None:
    """Write all of them into Airflow's metadata database, replacing existing ones.

    Runs the commands of Airflow's CLI in this process: most of the time would go into importing Airflow three times.

    :raises SystemExit: Airflow rejected one of the files and printed the reason
    """
    from airflow.cli.cli_parser import get_parser

    with tempfile.TemporaryDirectory() as folder:
        for kind, entries, options in (
            ("connections", settings.connections, ["--overwrite"]),
            ("pools", settings.pools, []),
            ("variables", settings.variables, []),
        ):
            file = Path(folder, f"{kind}.json")
            file.write_text(json.dumps(entries))
            command = get_parser().parse_args([kind, "import", str(file), *options])
            command.func(command)


if __name__ == "__main__":
    import_into_airflow(load())
