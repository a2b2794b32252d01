"""What every hook raises when its service is unavailable."""

from __future__ import annotations

from typing import Self

from airflow.sdk.exceptions import AirflowException


class ServiceUnavailable(AirflowException):
    """A service is unavailable, so its contents are unknown. The message names it, its connection and the next step."""

    @classmethod
    def of(cls, service: str, conn_id: str, problem: object, what: str = "does not answer") -> Self:
        """The error with its message.

        :param service: name of the service, as at the start of a sentence
        :param problem: what happened, usually an exception
        """
        reason = " ".join(str(problem).split()).rstrip(".") or type(problem).__name__
        return cls(
            f"{service} (connection {conn_id!r}) {what}: {reason}. "
            "Next: `make status` shows each service, `make up` starts those that are not running."
        )
