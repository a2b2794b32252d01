"""The only container that may be created: the generator's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from taxi_generator import environment

from .request import Refused

TLS = "/tls"
LABEL = "lakehouse.docker-gate"
ARGUMENT = re.compile(r"--(?:events|mode|rate|seed|topic|pickup-from|pickup-to)=[A-Za-z0-9_. :+-]*|--summary=-")
VARIABLES = {*environment.KAFKA, environment.REGISTRY}


@dataclass(frozen=True)
class Generator:
    """The specification of the generator's container.

    :param project: name of the compose project, which labels the containers
    """

    image: str
    network: str
    certificates: str
    memory: int
    project: str

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Generator:
        """Create it from the environment variables that `airflow_settings.yaml` uses too."""
        return cls(
            image=variables["GENERATOR_IMAGE"],
            network=variables["GENERATOR_NETWORK"],
            certificates=variables["GENERATOR_CERTIFICATES"],
            memory=int(variables["GENERATOR_MEMORY"]),
            project=variables["COMPOSE_PROJECT_NAME"],
        )

    def described(self) -> dict[str, Any]:
        """The container's specification for Docker's API, without arguments and environment."""
        return {
            "Image": self.image,
            "Entrypoint": ["python", "-m", "taxi_generator"],
            "AttachStdout": True,
            "AttachStderr": True,
            "Labels": {LABEL: self.project},
            "HostConfig": {
                "NetworkMode": self.network,
                "Mounts": [{"Type": "volume", "Source": self.certificates, "Target": TLS, "ReadOnly": True}],
                "Memory": self.memory,
                "MemorySwap": self.memory,
                "CpuShares": 1024,
                "NanoCpus": 10**9,
                "PidsLimit": 256,
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
            },
        }

    def created_as(self, requested: dict[str, Any]) -> dict[str, Any]:
        """The specification to forward for a request to create a container.

        :raises Refused: it requests anything else
        """
        arguments, variables = (_texts(requested.pop(name, None), name) for name in ("Cmd", "Env"))
        if strange := [text for text in arguments if not ARGUMENT.fullmatch(text)]:
            raise Refused(f"Cmd has {strange}")
        if unknown := {text.partition("=")[0] for text in variables} - VARIABLES:
            raise Refused(f"Env has {sorted(unknown)}")
        _compare(requested, self.described())
        return {**self.described(), "Cmd": arguments, "Env": variables}


def _texts(value: Any, name: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise Refused(f"{name} is not a list of strings")
    return value


def _compare(requested: dict[str, Any], described: dict[str, Any], path: str = "") -> None:
    """Refuse any difference. Empty values do not count, because Docker's clients send every field."""
    for name, value in requested.items():
        allowed = described.get(name)
        if isinstance(value, dict) and isinstance(allowed, dict):
            _compare(value, allowed, f"{path}{name}.")
        elif value and value != allowed:
            raise Refused(f"{path}{name} is {value!r}, allowed is {allowed!r}")
