"""Services and commands of the platform reach each other on loopback, regardless of proxies in the environment."""

import os
from collections.abc import Mapping

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def exempting(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of hosts without a proxy, with loopback added. Programs use one of two spellings."""
    known = ",".join(environment.get(name, "") for name in ("no_proxy", "NO_PROXY"))
    hosts = [host.strip() for host in known.split(",")]
    exempted = "*" if "*" in hosts else ",".join(dict.fromkeys([*filter(None, hosts), *LOOPBACK]))
    return {"no_proxy": exempted, "NO_PROXY": exempted}


def pass_by() -> None:
    """Let this process and its children reach loopback without a proxy."""
    os.environ |= exempting(os.environ)
