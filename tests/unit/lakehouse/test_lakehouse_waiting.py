"""Waiting ends with the result that was awaited, or with a message about it."""

import pytest

from lakehouse.waiting import wait_until


def test_it_returns_the_first_true_result():
    results = iter([None, "", 0, "ready", "later"])
    assert wait_until(lambda: next(results), "results", 10) == "ready"
    assert next(results) == "later"


def test_it_gives_up_and_says_what_was_awaited():
    with pytest.raises(TimeoutError, match=r"^the moon: not within 0\.1 s\.$"):
        wait_until(lambda: False, "the moon", 0.1)


def test_it_adds_the_last_state():
    seen = []
    with pytest.raises(TimeoutError, match=r"a number: not within 0\.1 s\. Seen: \[1, "):
        wait_until(lambda: seen.append(1), "a number", 0.1, on_timeout=lambda: f"Seen: {[*seen, 'end']}")


def test_it_probes_once_even_without_time():
    assert wait_until(lambda: "at once", "anything", 0) == "at once"


def test_an_error_of_the_probe_is_raised_at_once():
    probes = []

    def probe():
        probes.append(1)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        wait_until(probe, "anything", 10)
    assert len(probes) == 1
