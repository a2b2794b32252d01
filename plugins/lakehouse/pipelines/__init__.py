"""Pipelines: their declarations in `include/pipelines/`, the contracts of their events, and the SQL rendered from both."""
