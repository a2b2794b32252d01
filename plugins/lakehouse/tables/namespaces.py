"""Namespaces that a replay uses next to those of the live tables."""

from __future__ import annotations


def in_namespace(table: str, suffix: str) -> str:
    """The name of a table in its namespace with this suffix."""
    namespace, _, name = table.partition(".")
    return f"{namespace}{suffix}.{name}"


def backup_of(table: str) -> str:
    """The name under which a replaced table is kept until the next replay of that table."""
    return in_namespace(table, "_before_replay")
