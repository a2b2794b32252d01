"""The supervisor's configuration: the parts in its own notation, which knows no escapes."""

import os
import pwd
import re
import shlex
from pathlib import Path

from local.config import ROOT, Platform, PlatformError
from local.java import render
from local.parts import Part


def mark(platform: Platform, part: str) -> dict[str, str]:
    """The environment variables by which a process of the platform is known."""
    return {"LAKEHOUSE_HOME": str(platform.home), "LAKEHOUSE_PART": part}


def write(platform: Platform, socket: Path, parts: list[Part]) -> Path:
    """Write the file, and return its path."""
    conf = platform.home / "supervisord.conf"
    conf.unlink(missing_ok=True)
    os.close(os.open(conf, os.O_CREAT | os.O_EXCL, 0o600))  # it holds secrets
    values = {
        "home": platform.home,
        "root": ROOT,
        "socket": socket,
        "user": pwd.getpwuid(0).pw_name if os.geteuid() == 0 else None,
        "parts": parts,
        "environment": {part.name: _variables(part.environment | mark(platform, part.name)) for part in parts},
    }
    render("supervisord.conf.j2", conf, values, command=_command, escaped=_escaped)
    return conf


def _escaped(value: object) -> str:
    """A percent sign starts an expansion, some texts start a comment or end the line."""
    text = str(value)
    if found := re.search(r"[\n\r]|\s[;#]", text):
        raise PlatformError(f"the supervisor cannot take {text!r}: it holds {found.group()!r}")
    return text.replace("%", "%%")


def _command(command: list[str]) -> str:
    return _escaped(shlex.join(command))


def _variables(environment: dict[str, str]) -> str:
    """NAME="value",... The message leaves out the value, which may be a secret."""
    for name, value in environment.items():
        if re.search(r"""[\n\r"]|\s[;#]|^'|'$""", value):
            message = f"the value of {name} cannot be handed to the parts"
            raise PlatformError(
                f'{message}: it holds a line break, a ", " ;", " #", or a \' at an end. Set another {name}'
            )
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in environment.items())
