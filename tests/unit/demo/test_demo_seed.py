"""Each demo sends different trips, however the previous one ended."""

from __future__ import annotations

import json

import pytest

from demo.main_job import Outcome, Trips
from demo.run import _write, next_seed
from local.config import Platform


@pytest.fixture
def platform(tmp_path) -> Platform:
    return Platform(tmp_path, {})


def report(platform: Platform) -> dict:
    return json.loads((platform.home / "demo.json").read_text())


def test_seeds_are_different(platform):
    assert [next_seed(platform) for _ in range(3)] == [1, 2, 3]  # none of them has finished


def test_the_report_has_the_seed(platform):
    class Memory:
        rss_mb = pss_mb = 1.0

    _write(platform, Trips(events=10, seed=7), Outcome(sent=10), Memory())
    assert report(platform)["trips"] == {"events": 10, "seed": 7, "source": None}
    assert report(platform)["sent"] == 10


@pytest.mark.parametrize(("written", "seed"), [('{"trips": {"seed": 4}}', 5), ('{"trips": 10000}', 1), ("{", 1)])
def test_seeds_of_earlier_versions(platform, written, seed):
    (platform.home / "demo.json").write_text(written)
    assert next_seed(platform) == seed
