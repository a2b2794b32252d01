"""Rows as a table of plain text: what every command prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def text_table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows with the same keys as aligned columns under their names; a value that is None stays empty."""
    from tabulate import tabulate

    rows = list(rows)
    if not rows:
        return "(no rows)"
    return tabulate(rows, headers="keys", tablefmt="plain", disable_numparse=True)
