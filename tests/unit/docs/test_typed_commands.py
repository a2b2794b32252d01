"""Tests run every command of `make help`, with every option."""

from __future__ import annotations

import re

from typed_commands import COMMANDS, DEVELOPMENT, ELSEWHERE, NOT_GIVEN

from local.config import ROOT


def targets() -> dict[str, set[str]]:
    """Each target in `make help`, with the options in its line."""
    lines = re.findall(r"^([a-z-]+):.*## (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert len(lines) > 40
    return {name: set(re.findall(r"\b([A-Z_]{2,})=", text)) for name, text in lines}


def test_every_target_is_typed_somewhere():
    typed = {word for line in COMMANDS for word in re.findall(r"make(?: -s)? ([a-z-]+)", line)}
    assert typed | ELSEWHERE.keys() | DEVELOPMENT == targets().keys()
    tests = {file.stem for file in (ROOT / "tests").rglob("test_*.py")}
    assert {*ELSEWHERE.values()} <= tests


def test_every_option_is_typed():
    missing = {
        (target, option)
        for target, options in targets().items()
        if target not in ELSEWHERE.keys() | DEVELOPMENT
        for option in options
        if not any(re.search(rf"make(?: -s)? {target}\b.*\b{option}=", line) for line in COMMANDS)
    }
    assert missing <= NOT_GIVEN
