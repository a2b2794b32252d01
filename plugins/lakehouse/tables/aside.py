"""Namespaces beside those of the live tables."""

from __future__ import annotations


def in_namespace(table: str, suffix: str) -> str:
    """A table's name in the namespace with this suffix."""
    namespace, _, name = table.partition(".")
    return f"{namespace}{suffix}.{name}"


def aside(table: str) -> str:
    """Where a replaced table stays until the next replay of that table."""
    return in_namespace(table, "_before_replay")
