"""Rows as a plain-text table, as every command prints them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def text_table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows with the same keys as aligned columns with a header; None is printed as empty."""
    from tabulate import tabulate

    rows = list(rows)
    if not rows:
        return "(no rows)"
    return tabulate(rows, headers="keys", tablefmt="plain", disable_numparse=True)
