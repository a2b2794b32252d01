"""What can go wrong, told in one sentence: what failed, with which value, what to do next."""

from typing import Any


class GeneratorError(Exception):
    """A run that cannot start or go on."""


class DeliveryFailed(GeneratorError):
    """Not every event reached Kafka; `summary` holds what was and what was not delivered."""

    def __init__(self, message: str, summary: dict[str, Any]):
        super().__init__(message)
        self.summary = summary
