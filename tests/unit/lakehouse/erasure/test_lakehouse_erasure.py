"""Erasure on request: rows are gone from every table, accounted for, and never come back."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook
from lakehouse.erasure import delete, erase, log
from lakehouse.erasure.delete import delete_rows
from lakehouse.erasure.selection import select
from lakehouse.quality.ledger import Ledger, read_ledger
from lakehouse.reconciliation import state as states
from lakehouse.reconciliation.positions import Positions
from lakehouse.tables.ops import ERASURES

ACCEPTED, REJECTED = "bronze.raw_trips", "bronze.rejected_events"
CLEANED, OTHERS = "silver.cleaned_trips", ("silver.rejected_trips", "silver.duplicate_trips")
WHERE = "trip_id IN ('trip 3', 'trip 4')"


@pytest.fixture
def streaming(taxi, fill, send) -> None:
    """Twenty events of partition 1: eighteen in Bronze and in Silver, two rejected."""
    send(taxi.topic.name, 20, partition=1)
    fill(ACCEPTED, range(18), partition=1)
    fill(REJECTED, range(18, 20), partition=1)
    fill(CLEANED, range(18), partition=1)
    for table in OTHERS:
        fill(table, 0)


@pytest.fixture
def ledger(taxi) -> Callable[[], Ledger]:
    return lambda: read_ledger(taxi)


def offsets(table: str) -> list[int]:
    return sorted(IcebergCatalogHook().table(table).scan().to_arrow()["kafka_offset"].to_pylist())


def positions(*found: int) -> Positions:
    return Positions.of_offsets(1, found)


class TestSelection:
    def test_the_rows_of_these_events_in_every_table(self, streaming):
        found = select(CLEANED, WHERE)
        assert (str(found.positions), found.rows) == ("partition 1: offsets 3 to 4", {ACCEPTED: 2, CLEANED: 2})

    def test_a_backup_table_of_a_replay_contains_them_too(self, streaming, fill):
        fill("bronze_before_replay.raw_trips", range(5), partition=1)
        assert select(CLEANED, WHERE).rows["bronze_before_replay.raw_trips"] == 2

    @pytest.mark.parametrize(("table", "where"), [(ACCEPTED, "trip_id = 'trip 3'"), (REJECTED, "kafka_offset = 19")])
    def test_corrections_are_selected_with_their_events_and_vice_versa(self, streaming, iceberg, table, where):
        """Event 3 corrects 18, which corrects 19; a header can also contain nonsense."""
        for name, mends in ((ACCEPTED, {3: "1:18", 7: "nobody"}), (REJECTED, {18: "1:19"})):
            held = iceberg.load_table(name)
            with held.update_schema() as change:
                from pyiceberg.types import StringType

                change.add_column("mends", StringType())
            rows = held.scan().to_arrow().drop(["mends"])
            column = pa.array([mends.get(offset) for offset in rows["kafka_offset"].to_pylist()], pa.string())
            held.overwrite(rows.append_column("mends", column))
        assert str(select(table, where).positions) == "partition 1: offsets 3, 18 to 19"

    def test_nothing(self, streaming):
        found = select(ACCEPTED, "trip_id = 'nobody'")
        assert (len(found.everything), found.rows) == (0, {})

    @pytest.mark.parametrize(
        ("table", "where", "message"),
        [
            (
                "silver.nope",
                "true",
                r"No pipeline writes a table 'silver\.nope'\. Next: choose one of bronze\.raw_trips",
            ),
            (ERASURES, "true", r"No pipeline writes a table 'ops\.erasures'"),
            (
                CLEANED,
                "nope = 1",
                r"(?s)cannot be applied to silver\.cleaned_trips: .*nope.* Nothing was erased\. Next: ",
            ),
            (CLEANED, "true) OR (", r"cannot be applied to silver\.cleaned_trips"),
        ],
    )
    def test_invalid_selections(self, streaming, table, where, message):
        with pytest.raises(AirflowFailException, match=message):
            select(table, where)

    def test_a_trailing_comment_does_no_harm(self, streaming):
        assert len(select(CLEANED, f"{WHERE} -- the two").positions) == 2


class TestErased:
    @pytest.fixture
    def erased(self, streaming, ledger) -> dict[str, int]:
        ledger()
        return erase.erase(select(CLEANED, WHERE), "ticket 7")

    def test_from_every_table(self, erased):
        assert erased == {CLEANED: 2, ACCEPTED: 2}
        for table in (CLEANED, ACCEPTED):
            assert not {3, 4} & set(offsets(table))
            assert len(offsets(table)) == 16

    def test_the_ledger_accounts_for_them(self, erased, ledger):
        found = ledger()
        assert (found.balanced, found["bronze"].erased, found["bronze"].source_rows) == (True, 2, 20)
        assert found.as_dict()["stages"]["bronze"]["erased"] == 2
        assert "erased" in str(found)

    def test_also_if_the_tables_are_read_from_the_first_row(self, erased, ledger, taxi):
        for stage in taxi.stages.values():
            states.forget(stage)
        assert ledger().balanced

    def test_also_if_a_table_was_replaced(self, erased, ledger, taxi):
        stage = taxi.stages["bronze"]
        assert ledger().balanced
        known = states.load(stage)
        known.tables[ACCEPTED].uuid = "another"
        states.save(stage, known)
        assert ledger().balanced

    def test_a_row_that_comes_back_is_surplus(self, erased, ledger, fill):
        fill(ACCEPTED, [4], partition=1)
        assert ledger().errors == ["nyc_taxi.bronze has 1 row more than taxi.raw_trips (partition 1: offsets 4)"]
        fill(CLEANED, [4], partition=1)  # as a manual replay would
        assert erase.erase(select(CLEANED, WHERE), "again") == {CLEANED: 1, ACCEPTED: 1}
        assert ledger().balanced

    def test_the_log_has_their_positions_and_not_their_contents(self, erased, iceberg):
        begun, done = sorted(iceberg.load_table(ERASURES).scan().to_arrow().to_pylist(), key=lambda row: row["at"])
        assert (begun["step"], begun["events"], begun["reason"], begun["table_name"]) == (
            "begun",
            2,
            "ticket 7",
            CLEANED,
        )
        assert (done["step"], done["rows_erased"]) == ("done", '{"silver.cleaned_trips": 2, "bronze.raw_trips": 2}')
        assert "trip 3" not in str([begun, done])

    def test_a_recreated_topic_has_other_events_there(self, erased, topic_ids, taxi):
        assert len(log.erased(taxi.name, "another")) == 0
        assert str(log.erased(taxi.name, f"id of {taxi.topic.name}")) == "partition 1: offsets 3 to 4"

    def test_new_rows_keep_arriving(self, erased, ledger, fill, send, taxi):
        send(taxi.topic.name, 2, partition=1)
        fill(ACCEPTED, range(20, 22), partition=1)
        assert (ledger()["bronze"].in_flight, ledger()["silver"].in_flight) == (0, 2)
        fill(CLEANED, range(20, 22), partition=1)
        assert ledger().balanced


def test_a_row_on_its_way_to_a_table_is_awaited(streaming, fill, send, taxi, monkeypatch):
    """Deleted from Bronze before Silver has read it, it would come back there."""
    monkeypatch.setattr(erase, "ARRIVE_LIMIT_S", 0.5)
    send(taxi.topic.name, 1, partition=1)
    fill(ACCEPTED, [20], partition=1)
    with pytest.raises(
        AirflowException, match=r"nyc_taxi\.silver has not yet processed all rows .* Nothing was erased\. Next: "
    ):
        erase.erase(select(ACCEPTED, "trip_id = 'trip 20'"), "")
    assert 20 in offsets(ACCEPTED)
    assert not IcebergCatalogHook().exists(ERASURES)
    fill(CLEANED, [20], partition=1)
    assert erase.erase(select(ACCEPTED, "trip_id = 'trip 20'"), "") == {CLEANED: 1, ACCEPTED: 1}


def test_an_interrupted_erasure_is_completed_by_the_next(streaming, ledger, monkeypatch):
    """Whatever the next one selects: the rows of the first may be gone from the selected table."""
    tables, real = [], delete._delete

    def dies(name, *arguments):
        if tables:
            raise KeyboardInterrupt
        tables.append(name)
        return real(name, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(delete, "_delete", dies)
        with pytest.raises(KeyboardInterrupt):
            erase.erase(select(REJECTED, "kafka_offset = 18"), "first")
        tables.clear()
        with pytest.raises(KeyboardInterrupt):
            erase.erase(select(CLEANED, WHERE), "second")
    selection = select(CLEANED, "trip_id = 'nobody'")
    assert len(selection.interrupted) == 2
    assert len(selection.positions) == 0
    erase.erase(selection, "third")
    assert offsets(REJECTED) == [19]
    for table in (ACCEPTED, CLEANED):
        assert not {3, 4} & set(offsets(table))
    assert ledger().balanced
    assert select(CLEANED, WHERE).interrupted == []


class TestDeletedWhileOthersWrite:
    @pytest.mark.parametrize("adds", [[30], [3]], ids=["another row", "a row of the same event"])
    def test_a_concurrent_commit(self, streaming, fill, monkeypatch, adds):
        real, interfered = Table.delete, []

        def interfere(table, *arguments, **options):
            if not interfered:
                interfered.append(fill(ACCEPTED, adds, partition=1))
            return real(table, *arguments, **options)

        monkeypatch.setattr(Table, "delete", interfere)
        deleted = delete_rows([ACCEPTED], positions(3, 4), "test")
        assert not {3, 4} & set(offsets(ACCEPTED))
        assert deleted[ACCEPTED] >= 2
        assert (30 in offsets(ACCEPTED)) is (adds == [30])

    def test_others_always_commit_first(self, streaming, monkeypatch):
        from tenacity import wait_none

        from lakehouse.tables import commits

        monkeypatch.setattr(commits, "TRIES", 3)
        monkeypatch.setattr(commits, "wait_random_exponential", lambda **_: wait_none())

        def refused(*_, **__):
            raise CommitFailedException("somebody was faster")

        monkeypatch.setattr(Table, "delete", refused)
        with pytest.raises(CommitFailedException):
            delete_rows([ACCEPTED], positions(3), "test")
        assert 3 in offsets(ACCEPTED)

    def test_only_the_files_of_many_events_are_rewritten(self, fill, iceberg):
        for start in range(0, 3_000, 1_000):
            fill(ACCEPTED, range(start, start + 1_000), partition=2)
        before = {task.file.file_path for task in iceberg.load_table(ACCEPTED).scan().plan_files()}
        odd = Positions.of_offsets(2, range(1, 1_000, 2))
        assert delete_rows([ACCEPTED], odd, "test") == {ACCEPTED: 500}
        after = {task.file.file_path for task in iceberg.load_table(ACCEPTED).scan().plan_files()}
        assert len(before - after) == 1
        assert offsets(ACCEPTED) == [*range(0, 1_000, 2), *range(1_000, 3_000)]


class TestCommand:
    def test_a_dry_run_changes_nothing(self, streaming, run, capsys):
        assert run("erase", CLEANED, WHERE, "--dry-run") == 0
        message = capsys.readouterr().out
        assert "2 events of nyc_taxi" in message
        assert "bronze.raw_trips" in message
        assert 3 in offsets(CLEANED)

    def test_it_asks_for_confirmation(self, streaming, run, capsys):
        assert run("erase", CLEANED, WHERE) == 1
        assert capsys.readouterr().err == "error: nothing was erased. Next: confirm it (YES=1 in a script)\n"
        assert 3 in offsets(CLEANED)

    def test_it_erases_and_says_where_copies_remain(self, streaming, run, capsys):
        assert run("erase", CLEANED, WHERE, "--yes", "--reason", "ticket 7") == 0
        message = capsys.readouterr().out
        for words in (
            "silver.cleaned_trips: 2 rows erased",
            "nyc_taxi_pipeline has run twice",
            "Kafka retains the events for 7 days",
        ):
            assert words in message
        assert 3 not in offsets(CLEANED)

    @pytest.mark.parametrize(("table", "where"), [("nope", "true"), (CLEANED, ""), (CLEANED, "nope =")])
    def test_a_wrong_call_is_one_line(self, streaming, run, capsys, table, where):
        assert run("erase", table, where) in (1, 2)
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        assert "Next: " in line
