"""Partitions become few and short conditions, which select exactly them."""

from __future__ import annotations

from datetime import date, timedelta

from lakehouse.maintenance.conditions import MAX_RANGES, conditions


def test_consecutive_days_are_one_range():
    days = [date(2024, 1, 1) + timedelta(number) for number in (*range(1_000), 1_001)]
    assert conditions((("date", day),) for day in reversed(days)) == [
        "(`date` BETWEEN DATE '2024-01-01' AND DATE '2026-09-26') OR (`date` = DATE '2026-09-28')"
    ]
    assert conditions([(("date", date.max),)]) == ["(`date` = DATE '9999-12-31')"]


def test_numbers_texts_and_null():
    numbers = [(("n", number),) for number in (3, -1, None, 0, 1, 5)]
    assert conditions(numbers) == ["(`n` IS NULL) OR (`n` BETWEEN -1 AND 1) OR (`n` = 3) OR (`n` = 5)"]
    texts = [(("order", text),) for text in ("b", "a", "it's", None)]
    assert conditions(texts) == ["(`order` IS NULL) OR (`order` = 'a') OR (`order` = 'b') OR (`order` = 'it''s')"]
    assert conditions([(("a`b", 1),)]) == ["(`a``b` = 1)"]


def test_only_consecutive_values_of_the_last_column_are_one_range():
    partitions = [(("zone", zone), ("day", date(2024, 1, day))) for zone in ("a", None) for day in (1, 2)]
    assert conditions([*partitions, (("day", date(2024, 1, 3)),)]) == [
        (
            "(`zone` = 'a' AND `day` BETWEEN DATE '2024-01-01' AND DATE '2024-01-02') OR "
            "(`zone` IS NULL AND `day` BETWEEN DATE '2024-01-01' AND DATE '2024-01-02') OR "
            "(`day` = DATE '2024-01-03')"
        )
    ]


def test_a_thousand_ranges_are_several_conditions():
    found = conditions((("zone", f"{number:04}"),) for number in range(1_000))
    assert [condition.count("=") for condition in found] == [MAX_RANGES] * 10
    assert "".join(found).count("'") == 2_000
