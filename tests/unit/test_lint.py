"""One list of what is checked before a commit: that of `make lint`."""

from __future__ import annotations

import re

import yaml

from lakehouse.paths import REPOSITORY


def test_pre_commit_runs_what_make_lint_runs():
    (listed,) = re.findall(r"^LINTS := (.*)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    (local,) = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"]
    assert [hook["entry"] for hook in local["hooks"]] == [f"make {name}" for name in listed.split()]
