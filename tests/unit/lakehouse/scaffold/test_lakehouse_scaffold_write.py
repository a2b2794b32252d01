"""A sample becomes a complete pipeline, or no file is written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from flight_samples import FLIGHTS

from lakehouse.gold.dictionary import render_dictionary
from lakehouse.pipelines.load import DeclarationError, declarations
from lakehouse.scaffold import write
from lakehouse.scaffold.write import new_pipeline, next_steps


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_complete_pipeline(make, include):
    flights = make(FLIGHTS, key="carrier, flight,time_hour", time="time_hour")
    assert (flights.title, flights.topic.name, flights.topic.key) == ("Flights", "flights.events", "carrier")
    assert flights.stages["bronze"].sinks == {"accepted": "bronze.flights", "rejected": "bronze.flights_rejected"}
    assert flights.stages["silver"].source == "bronze.flights"
    assert flights.stages["silver"].sinks == {
        "accepted": "silver.flights", "rejected": "silver.flights_rejected", "duplicate": "silver.flights_duplicates",
    }  # fmt: skip
    assert (flights.gold.fact, flights.gold.source) == ("fct_flights", "silver.flights")
    assert flights.params["dedup_retention"] == "7 d"
    assert [
        (field.name, field.column, field.type, field.nullable, field.required) for field in flights.contract.fields
    ] == [
        ("carrier", "carrier", "STRING", False, True),
        ("flight", "flight", "BIGINT", False, True),
        ("tailNum", "tail_num", "STRING", True, False),
        ("depDelay", "dep_delay", "BIGINT", True, False),
        ("airTime", "air_time", "DOUBLE", True, False),
        ("time_hour", "time_hour", "TIMESTAMP_LTZ(6)", False, True),
    ]
    contract = json.loads((include / "contracts/flights.json").read_text())
    assert {declared["description"] for declared in contract["properties"].values()} == {""}


def test_files_are_listed_and_the_page_describes_edits(include, sample):
    files = new_pipeline("flights", sample(FLIGHTS), "carrier,flight,time_hour", "time_hour")
    generated = {include / "dbt/models/flights/staging/_sources.yml", include / "dbt/manifests/flights.json"}
    assert all(file.exists() for file in set(files) - generated)
    page = files[0].read_text()
    assert files[0] == include / "pipelines/flights.md"
    assert files[-1] == include / "pipelines/flights.yaml"
    assert "Silver rejects events without carrier, flight, time_hour" in page
    assert "In the sample, no event repeats another." in page
    assert "make send NAME=flights" in page
    assert "[[" not in page
    assert "include/pipelines/flights.md" in next_steps("flights")


def test_the_page_lists_open_questions_of_the_sample(make, include):
    make([{"id": 1, "seats": 2.0, "note": None, "kind": "a"}, {"id": 1, "note": None, "kind": "b"}], key="id")
    page = (include / "pipelines/flights.md").read_text()
    assert "treated as integers: seats" in page
    assert "treated as text: note" in page
    assert "Never null in the sample: kind" in page
    assert "1 of 2 events repeat another" in page
    assert "No field has the time of an event" in page


def test_its_tables_are_in_the_dictionary(make):
    page = render_dictionary([make(FLIGHTS, key="carrier,flight", time="time_hour")])
    tables = re.findall(r"^#### (\S+)$", page, re.MULTILINE)
    assert tables == [
        "bronze.flights", "bronze.flights_rejected", "silver.flights", "silver.flights_rejected", "silver.flights_duplicates",
        "fct_flights", "late_duplicates", "mart_flights_daily",
    ]  # fmt: skip
    assert "| `time_hour` | TIMESTAMP_LTZ(6) |" in page
    assert "| `event_key` | STRING | Hash of the fields that identify the event. |" in page


def test_the_window_contains_the_times_of_the_sample(make):
    assert make(FLIGHTS, time="time_hour").params["time_from"] == "1970-01-01 00:00:00"
    events = [{"day": "1815-06-18"}, {"day": "2101-01-01"}]
    params = make(events, "battles", time="day").params
    assert (params["time_from"], params["time_to"]) == ("1800-01-01 00:00:00", "2200-01-01 00:00:00")


@pytest.mark.parametrize("name", ["Flights", "1st", "new-york", "a" * 41, "", "../x", "a b", "flüge", "flights\n"])
def test_an_invalid_name(include, sample, name):
    with pytest.raises(DeclarationError, match=r"cannot be the name of a pipeline. Next: "):
        new_pipeline(name, sample(FLIGHTS))


@pytest.mark.parametrize(
    "file",
    [
        "pipelines/flights.yaml", "pipelines/flights.md", "contracts/flights.json", "sql/flights/06-silver.sql",
        "dbt/models/flights/_flights.yml", "dbt/models/flights/staging/_sources.yml", "dbt/manifests/flights.json",
    ],
)  # fmt: skip
def test_existing_files_are_not_overwritten(include, sample, file):
    (include / file).parent.mkdir(parents=True, exist_ok=True)
    (include / file).write_text("mine")
    before = files_of(include)
    with pytest.raises(DeclarationError, match=rf"include/{file} already exists .* Next: choose another NAME"):
        new_pipeline("flights", sample(FLIGHTS))
    assert files_of(include) == before


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([{"a": 1}, {"a": "x"}], "mixes types"),
        ([{"payload": 1}], "'payload' is reserved by the platform. Next: "),
        ([{"depDelay": 1, "dep_delay": 2}], "Next: "),
    ],
)
def test_nothing_is_written_for_a_bad_sample(include, sample, rows, reason):
    before = files_of(include)
    with pytest.raises(DeclarationError, match=reason):
        new_pipeline("flights", sample(rows))
    assert files_of(include) == before


def test_nothing_is_written_if_another_pipeline_has_the_table(make, include, sample):
    make(FLIGHTS, "flights")
    before = files_of(include)
    with pytest.raises(DeclarationError, match=r"bronze\.flights_rejected is also written by flights\.yaml"):
        new_pipeline("flights_rejected", sample(FLIGHTS))
    assert files_of(include) == before


def test_files_are_removed_if_dbt_refuses_the_models(include, sample, monkeypatch):
    def regenerate(pipeline):
        (include / "dbt/models/flights/staging/_sources.yml").write_text("half")
        raise RuntimeError("dbt cannot parse")

    monkeypatch.setattr(write, "regenerate", regenerate)
    before = files_of(include)
    with pytest.raises(RuntimeError, match="dbt cannot parse"):
        new_pipeline("flights", sample(FLIGHTS))
    assert files_of(include) == before
    assert not (include / "sql/flights").exists()
    assert not (include / "dbt/models/flights").exists()


def test_the_declaration_is_written_last(include, sample, monkeypatch):
    seen = []

    def regenerate(pipeline):
        seen.append((pipeline.name, (include / "dbt/models/flights/marts/core/fct_flights.sql").exists()))
        assert "flights" not in declarations(include).pipelines

    monkeypatch.setattr(write, "regenerate", regenerate)
    new_pipeline("flights", sample(FLIGHTS))
    assert seen == [("flights", True)]


def test_a_broken_declaration_of_another_pipeline_does_not_matter(include, make):
    (include / "pipelines/broken.yaml").write_text("title: [")
    assert "flights" not in declarations(include).problems
    with pytest.raises(AssertionError):  # `make` allows no problems, and the broken declaration still exists
        make(FLIGHTS)
    assert "flights" in declarations(include).pipelines


def test_keywords_of_yaml_are_quoted(make):
    made = make([{"on": "x", "null": 1, "id": 1}], "yes", key="on")
    assert (made.name, made.topic.key, made.title) == ("yes", "on", "Yes")
