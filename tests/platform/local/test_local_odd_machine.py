"""A platform in a folder with an odd name, with a proxy that does not respond, and without permission to write to /tmp."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import Checkout

from local import config
from local.config import Platform
from local.supervision import Supervisor

PORT_BASE = str(int(os.environ.get("TEST_PORT_BASE", "28000")) + 200)
NAME = "my project é, #1 100% it's"
DEAD = dict.fromkeys(
    (name for proxy in ("http_proxy", "https_proxy", "all_proxy") for name in (proxy, proxy.upper())),
    "http://127.0.0.1:1",
)
#: Runs a command with its own, empty /tmp, so that only its processes' files are in it.
OWN_TMP = "unshare --mount sh -c 'mount -t tmpfs none /tmp && exec \"$@\"' sh"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Outside of /tmp."""
    with tempfile.TemporaryDirectory(prefix="lakehouse-odd-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o711)  # if run as root, PostgreSQL's user needs access
        yield Path(folder)


@pytest.fixture
def copy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checkout]:
    for name in ("no_proxy", "NO_PROXY", "TMPDIR", "LC_ALL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C")
    copy = Checkout(folder / NAME, PORT_BASE=PORT_BASE, **DEAD)
    try:
        yield copy
    finally:
        if copy.home.exists():
            copy.type_in("make down")


def platform_of(copy: Checkout) -> Platform:
    return Platform(copy.home, config.read_env(copy.home / "env"))


def left_in_tmp(platform: Platform) -> list[str]:
    """The files in the /tmp that the platform's services see."""
    return [path.name for path in Path(f"/proc/{Supervisor(platform).pid()}/root/tmp").iterdir()]


@pytest.mark.timeout(1800)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a command its own /tmp")
@pytest.mark.skipif(subprocess.run(["unshare", "--mount", "true"]).returncode != 0, reason="no mount namespaces here")
def test_up_down_up_and_a_demo(copy, folder):
    copy.type_in(f"{OWN_TMP} make up")
    platform = platform_of(copy)
    assert left_in_tmp(platform) == []
    cluster = (platform.home / "kafka" / "data" / "meta.properties").read_text()
    copy.type_in("make down")

    copy.type_in(f"{OWN_TMP} make up")
    assert (platform.home / "kafka" / "data" / "meta.properties").read_text() == cluster
    copy.type_in("make demo EVENTS=2000", limit_s=1200)

    report = json.loads((platform.home / "demo.json").read_text())
    assert report["rows"] == report["expected"]
    assert report["ledger_balanced"]
    assert "healthy" in copy.type_in("make status")
    assert "ledger: balanced" in copy.type_in("make ledger")
    assert "(0 rows)" not in copy.type_in("make table-size TABLE=silver.cleaned_trips FLINK=1")
    assert "clean" in copy.type_in("make audit ARGS=--at-rest")
    assert left_in_tmp(platform) == []
    copy.type_in("make down")
    copy.type_in("make clean YES=1")
    assert not copy.home.exists()
    assert [path.name for path in folder.iterdir()] == [NAME]
