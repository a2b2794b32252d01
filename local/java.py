"""How a Java part is started."""

from collections.abc import Mapping
from pathlib import Path

import jinja2

from local.config import CONF, PlatformError
from local.preflight import java_home

# Less memory a process: the simple collector, two arenas of malloc, no performance file in /tmp.
ENVIRONMENT = {"MALLOC_ARENA_MAX": "2"}
_OPTIONS = ["-XX:+UseSerialGC", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError", "-Djava.net.preferIPv4Stack=true",
            "-Duser.timezone=UTC"]  # fmt: skip


def java() -> list[str]:
    """The Java program with what every part shares."""
    home = java_home()
    if home is None:
        raise PlatformError("no Java found: set JAVA_HOME, or put `java` on the PATH")
    return [str(home / "bin" / "java"), *_OPTIONS]


def render(template: str, target: Path, values: Mapping[str, object], **filters: object) -> None:
    """Write a configuration file from its template; an unknown name is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(CONF), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    environment.filters.update(filters)
    target.write_text(environment.get_template(template).render(values))
