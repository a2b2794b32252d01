"""The platform's services and commands reach each other on loopback, whatever proxy the environment names for everything else."""

import os
from collections.abc import Mapping

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def exempting(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that say what no proxy leads to, with loopback added. Programs read one of two spellings."""
    known = ",".join(environment.get(name, "") for name in ("no_proxy", "NO_PROXY"))
    hosts = [host.strip() for host in known.split(",")]
    exempted = "*" if "*" in hosts else ",".join(dict.fromkeys([*filter(None, hosts), *LOOPBACK]))
    return {"no_proxy": exempted, "NO_PROXY": exempted}


def pass_by() -> None:
    """Let this process, and those that it starts, reach loopback without a proxy."""
    os.environ |= exempting(os.environ)
