"""Writes the supervisor's configuration, and for each service a script and a folder for temporary files."""

import os
import pwd
import shlex
import shutil
from pathlib import Path

from local.config import Platform, write_private
from local.generated import render
from local.services import Service

SCRIPT = """\
#!/bin/sh
# Written at every start from local/services.py.
{exports}
cd {folder}
exec {command}
"""


def mark(platform: Platform, service: str) -> dict[str, str]:
    """The environment variables that identify processes of the platform."""
    return {"LAKEHOUSE_HOME": str(platform.home), "LAKEHOUSE_PART": service}


def write(platform: Platform, socket: Path, services: list[Service]) -> Path:
    """Write all files and empty temporary folders (nothing runs yet); return the path of the configuration."""
    scripts = platform.home / "services"
    for folder in (scripts, platform.temporary):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o711)  # PostgreSQL's account traverses it
    for service in services:
        scratch = platform.scratch(service.name)
        scratch.mkdir(mode=0o700)
        write_private(scripts / service.name, _script(platform, service))  # it contains secrets
        if service.user:
            for path in (scratch, scripts / service.name):
                shutil.chown(path, service.user)
    conf = platform.home / "supervisord.conf"
    values = {
        "socket": "%(here)s/" + socket.name if socket.parent == platform.home else str(socket).replace("%", "%%"),
        "user": pwd.getpwuid(0).pw_name if os.geteuid() == 0 else None,
        "services": services,
    }
    render("supervisord.conf.j2", conf, values, str)
    return conf


def _script(platform: Platform, service: Service) -> str:
    scratch = platform.scratch(service.name)
    environment = {"TMPDIR": str(scratch)} | service.environment | mark(platform, service.name)
    exports = (f"export {name}={shlex.quote(value)}" for name, value in environment.items())
    return SCRIPT.format(
        exports="\n".join(exports),
        folder=shlex.quote(str(service.folder or scratch)),
        command=shlex.join(service.command()),
    )
