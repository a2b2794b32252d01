"""Writes files from templates at every start; values are escaped for the file's format."""

from collections.abc import Callable, Mapping
from pathlib import Path

import jinja2
import yaml

from local.config import CONF


def render(template: str, target: Path, values: Mapping[str, object], escape: Callable[[object], str]) -> None:
    """Write a file from its template, in UTF-8; an unknown name is an error.

    :param escape: converts each inserted value to the file's format
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(CONF),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        finalize=lambda value: value if isinstance(value, jinja2.Undefined) else escape(value),
    )
    target.write_text(environment.get_template(template).render(values), encoding="utf-8")


def properties(value: object) -> str:
    """Part of a value in a Java properties file, which is Latin-1 with escapes."""
    units = memoryview(str(value).encode("utf-16-le", "surrogatepass")).cast("H")
    return "".join(chr(unit) if 0x20 < unit < 0x7F and unit != ord("\\") else f"\\u{unit:04x}" for unit in units)


def yaml_scalar(value: object) -> str:
    """A string in a YAML file, always quoted."""
    return yaml.safe_dump(str(value), default_style='"', allow_unicode=True, width=float("inf")).rstrip("\n")
