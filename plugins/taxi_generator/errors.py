"""Errors; messages say what failed, with which value, and the next step."""

from typing import Any


class GeneratorError(Exception):
    """A run cannot start or continue."""


class DeliveryFailed(GeneratorError):
    """Not all events reached Kafka; `summary` has the counts."""

    def __init__(self, message: str, summary: dict[str, Any]):
        super().__init__(message)
        self.summary = summary
