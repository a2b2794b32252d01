"""What can go wrong, told in one sentence: what failed, with which value, what to do next."""


class GeneratorError(Exception):
    """A run that cannot start or go on."""


class DeliveryFailed(GeneratorError):
    """Not every event reached Kafka; `summary` holds what was and what was not delivered."""

    def __init__(self, message: str, summary: dict):
        super().__init__(message)
        self.summary = summary
