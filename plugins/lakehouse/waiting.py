"""Waiting for a condition, always with a limit and with a message that says what was awaited."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_exponential

T = TypeVar("T")


def wait_until(
    probe: Callable[[], T | None],
    what: str,
    limit_s: float,
    on_timeout: Callable[[], str] | None = None,
    longest_pause_s: float = 1,
) -> T:
    """Call `probe` until it returns a true value, and return that value.

    :param what: the awaited condition, for the message
    :param limit_s: seconds to wait
    :param on_timeout: returns text to append to the message, such as the last state
    :param longest_pause_s: maximum of seconds between two probes; the first ones are closer together
    :raises TimeoutError: the condition was not met within the limit
    """
    retrying = Retrying(
        retry=retry_if_result(lambda result: not result),
        stop=stop_after_delay(limit_s),
        wait=wait_exponential(multiplier=0.05, max=longest_pause_s),
    )
    try:
        return cast(T, retrying(probe))
    except RetryError as error:
        seen = f" {on_timeout()}" if on_timeout else ""
        raise TimeoutError(f"{what}: not within {limit_s:g} s.{seen}") from error
