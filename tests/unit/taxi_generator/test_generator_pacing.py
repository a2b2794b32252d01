"""Events are sent evenly, according to a fake clock."""

import pytest

from taxi_generator.pacing import INTERVALS, MAX_CATCH_UP, Pacer


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def times(rate: float, mode: str, seconds: float, stalls: dict[int, float] | None = None) -> list[float]:
    """When each event was sent, with a clock that stands still while events are sent."""
    clock = Clock()
    pacer = Pacer(rate, INTERVALS[mode], clock)
    left: list[float] = []
    while clock.now < 100 + seconds:
        clock.now += pacer.due_in()
        left += [clock.now - 100] * pacer.size
        clock.now += (stalls or {}).pop(int(clock.now - 100), 0)
        pacer.sent(pacer.size)
    return left


@pytest.mark.parametrize("rate", [0.5, 1, 30, 333, 1_000, 12_345, 150_000])
def test_realtime_is_even_within_50_ms(rate):
    left = times(rate, "realtime", 10)
    assert max(abs(at - i / rate) for i, at in enumerate(left)) < 0.05
    assert len(left) == pytest.approx(rate * 10, abs=rate * 0.05 + 1)


def test_batch_sends_once_a_second_and_keeps_the_rate():
    left = times(1_000, "batch", 10)
    assert sorted(set(left)) == [float(second) for second in range(11)]
    assert left.count(3.0) == 1_000


def test_the_stream_catches_up_after_a_short_stall():
    left = times(100, "realtime", 10, {3: 0.5})
    assert left[-1] == pytest.approx((len(left) - 1) / 100, abs=0.05)


def test_the_stream_does_not_catch_up_after_a_long_stall():
    left = times(100, "realtime", 60, {3: 30.0})
    after = [at for at in left if at > 32]
    in_one_second = max(sum(at <= other < at + 1 for other in after) for at in after[:300])
    assert in_one_second <= 100 * (1 + MAX_CATCH_UP) + 2
