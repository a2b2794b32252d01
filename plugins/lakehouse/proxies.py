"""Hosts of the platform's own connections are reached directly, even if the environment names a proxy for everything else."""

from __future__ import annotations

import os
from urllib.parse import urlsplit
from urllib.request import getproxies_environment


def pass_by(*addresses: str | None) -> None:
    """Let this process, and those that it starts, reach these hosts without a proxy.

    :param addresses: host names or URLs; None and empty ones count for nothing
    """
    proxies = getproxies_environment()
    excepted = proxies.pop("no", "")
    if not proxies or excepted == "*":
        return
    hosts = (urlsplit(address if "//" in address else f"//{address}").hostname for address in addresses if address)
    known = ",".join(filter(None, (os.environ.get("no_proxy"), os.environ.get("NO_PROXY"))))
    everything = ",".join(dict.fromkeys(filter(None, [*known.split(","), *hosts])))
    os.environ |= {"no_proxy": everything, "NO_PROXY": everything}
