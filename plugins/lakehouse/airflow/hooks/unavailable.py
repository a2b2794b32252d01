"""What every hook raises when its service cannot be asked."""

from __future__ import annotations

from typing import Self

from airflow.sdk.exceptions import AirflowException


class ServiceUnavailable(AirflowException):
    """A service cannot be asked, so nothing is known of what it holds. The message names it, its connection and the next step."""

    @classmethod
    def of(cls, service: str, conn_id: str, problem: object, what: str = "does not answer") -> Self:
        """The error with its message.

        :param service: its name, as at the start of a sentence
        :param problem: what happened
        """
        said = " ".join(str(problem).split()).rstrip(".") or type(problem).__name__
        return cls(
            f"{service} (connection {conn_id!r}) {what}: {said}. "
            "Is it running? `make status` shows each part, `make up` starts what is missing."
        )
