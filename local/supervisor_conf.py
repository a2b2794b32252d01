"""Writes the supervisor's configuration, and for each service a script and a folder for temporary files."""

import os
import pwd
import shlex
import shutil
from pathlib import Path

from local.config import Platform, write_private
from local.generated import render
from local.parts import Part

SCRIPT = """\
#!/bin/sh
# Written at every start from local/parts.py.
{exports}
cd {folder}
exec {command}
"""


def mark(platform: Platform, part: str) -> dict[str, str]:
    """The environment variables that identify processes of the platform."""
    return {"LAKEHOUSE_HOME": str(platform.home), "LAKEHOUSE_PART": part}


def write(platform: Platform, socket: Path, parts: list[Part]) -> Path:
    """Write all files and empty temporary folders (nothing runs yet); return the path of the configuration."""
    scripts = platform.home / "services"
    for folder in (scripts, platform.temporary):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o711)  # PostgreSQL's account traverses it
    for part in parts:
        scratch = platform.scratch(part.name)
        scratch.mkdir(mode=0o700)
        write_private(scripts / part.name, _script(platform, part))  # it contains secrets
        if part.user:
            for path in (scratch, scripts / part.name):
                shutil.chown(path, part.user)
    conf = platform.home / "supervisord.conf"
    values = {
        "socket": "%(here)s/" + socket.name if socket.parent == platform.home else str(socket).replace("%", "%%"),
        "user": pwd.getpwuid(0).pw_name if os.geteuid() == 0 else None,
        "parts": parts,
    }
    render("supervisord.conf.j2", conf, values, str)
    return conf


def _script(platform: Platform, part: Part) -> str:
    scratch = platform.scratch(part.name)
    environment = {"TMPDIR": str(scratch)} | part.environment | mark(platform, part.name)
    exports = (f"export {name}={shlex.quote(value)}" for name, value in environment.items())
    return SCRIPT.format(
        exports="\n".join(exports),
        folder=shlex.quote(str(part.folder or scratch)),
        command=shlex.join(part.command()),
    )
