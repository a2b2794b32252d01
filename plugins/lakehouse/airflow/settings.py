"""Connections, pools and variables from `airflow_settings.yaml` (Astro's format), the only place that holds them.

`${NAME}` in the file is filled from the environment; a name that is not set is an error, unless the file says what to take
instead (`${NAME:-default}`). As a command the module imports all of it into Airflow's metadata database, overwriting what is
there: `python -m lakehouse.airflow.settings`.
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
    """`airflow_settings.yaml` cannot be used as it stands; the message names the entry."""


@dataclass(frozen=True)
class AirflowSettings:
    """What the file declares, each in the format of Airflow's own `... import` command.

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
    """Read the file and fill its placeholders.

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
            f"{path.name}: {error} is not set. A ${{NAME}} comes from the environment (`.local/env` after `make up`); "
            "a field comes from Astro's format."
        ) from error


def _slots(pool: Mapping[str, Any]) -> int:
    """As declared; of the pool `dbt`, one for each pipeline at least, so that no build holds up another pipeline's."""
    declared = pool["pool_slot"]
    return max(declared, len(enabled_pipelines())) if pool["pool_name"] == "dbt" else declared


class _Template(string.Template):
    """`${NAME}` and `${NAME:-default}`, as in a shell: the default counts where the value is empty, too."""

    braceidpattern = r"[A-Z][A-Z0-9_]*(?::-[^}]*)?"


@dataclass(frozen=True)
class _Values:
    environment: Mapping[str, str]

    def __getitem__(self, placeholder: str) -> str:
        name, has_default, default = placeholder.partition(":-")
        return self.environment.get(name) or default if has_default else self.environment[name]


def _filled(node: Any, environment: Mapping[str, str]) -> Any:
    """Fill the placeholders of each text by itself: what a value holds must not be read as YAML."""
    match node:
        case str():
            return _Template(node).substitute(_Values(environment))  # type: ignore[arg-type]  # it only looks up
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


def see() -> None:
    """Let this process, outside of any task, find connections and variables as the file says."""
    os.environ.update(load().environment())


def import_into_airflow(settings: AirflowSettings) -> None:
    """Write all of it into Airflow's metadata database, in place of what it holds under the same names.

    By the commands of Airflow's CLI, in this process: importing Airflow three times would take longer than all else.

    :raises SystemExit: Airflow refused one of the files; it has said why
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
