"""Readers see a complete Gold file or the previous one, never one that a run is working on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
import pytest
from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import StaticTable

from lakehouse.airflow.hooks.iceberg import IcebergCatalogHook, row_count
from lakehouse.gold import file as gold_file
from lakehouse.pipelines.load import DeclarationError
from lakehouse.tables.duckdb_access import load_extensions

TOPIC = "taxi.raw_trips"
OTHER_TABLES = ("silver.rejected_trips", "silver.duplicate_trips", "bronze.rejected_events")


def build(file: Path, rows: int, fact: str = "fct_trips") -> None:
    """Build what dbt would build: the fact with this many rows."""
    with duckdb.connect(str(file)) as connection:
        connection.execute(f"CREATE OR REPLACE TABLE {fact} AS SELECT range AS row FROM range({rows})")


@pytest.fixture
def platform(fill, send):
    """Eight events, which all became trips."""
    send(TOPIC, 8)
    for table, rows in {"bronze.raw_trips": 8, "silver.cleaned_trips": 8, **dict.fromkeys(OTHER_TABLES, 0)}.items():
        fill(table, rows)


@pytest.fixture
def arrive(fill, send):
    """Have more events become trips."""

    def arrive(rows: int) -> None:
        send(TOPIC, rows)
        fill("bronze.raw_trips", rows)
        fill("silver.cleaned_trips", rows)

    return arrive


@pytest.fixture
def published(taxi, fill, arrive) -> Path:
    """A published Gold file, built when the source had five of the eight trips."""
    for table in OTHER_TABLES:
        fill(table, 0)
    arrive(5)
    env = gold_file.prepare(taxi, "the run before")
    build(Path(env["LAKEHOUSE_GOLD_PATH"]), 5)
    gold_file.publish(taxi, env)
    arrive(3)
    return gold_file.published_file(taxi)


@pytest.fixture
def legacy(published) -> Path:
    """The same file in the layout of a single pipeline, with copies of unpublished runs."""
    folder = Path(Variable.get("gold_dir"))
    published.chmod(0o644)
    with duckdb.connect(str(published)) as connection:
        connection.execute("ALTER TABLE built_from RENAME source_table_uuid TO silver_table_uuid")
        connection.execute("ALTER TABLE built_from RENAME source_snapshot_id TO silver_snapshot_id")
        connection.execute("ALTER TABLE built_from DROP source_sequence_number")
    (folder / "runs" / "0123456789ab").mkdir(parents=True)
    (folder / "runs" / "0123456789ab" / "gold.duckdb").touch()
    return published.rename(folder / "gold.duckdb")


def source_rows(env: dict[str, str]) -> int:
    return row_count(StaticTable.from_metadata(env["LAKEHOUSE_SOURCE_METADATA"]))


def work_of(env: dict[str, str]) -> Path:
    return Path(env["LAKEHOUSE_GOLD_PATH"])


def test_a_run_gets_a_copy_of_the_published_file(taxi, published):
    work = work_of(gold_file.prepare(taxi, "run 1"))
    assert (work.name, gold_file.count_fact(taxi, work)) == ("gold.duckdb", 5)
    build(work, 8)
    assert gold_file.count_fact(taxi) == gold_file.count_fact(taxi, published) == 5


def test_the_first_run_starts_without_a_file(taxi, platform):
    assert not work_of(gold_file.prepare(taxi, "run 1")).exists()


def test_a_full_refresh_starts_without_a_file(taxi, published):
    assert not work_of(gold_file.prepare(taxi, "run 1", full_refresh=True)).exists()


def test_a_replaced_source_is_read_completely(taxi, published, iceberg, fill):
    iceberg.drop_table("silver.cleaned_trips")
    fill("silver.cleaned_trips", 8)
    assert not work_of(gold_file.prepare(taxi, "run 1")).exists()


def test_a_file_without_a_recorded_version_is_not_built_upon(taxi, published):
    published.with_name("files.json").unlink()
    assert not work_of(gold_file.prepare(taxi, "run 1")).exists()


def test_changed_models_build_everything(taxi, published, monkeypatch):
    monkeypatch.setattr(gold_file, "fingerprint", lambda _: "other models")
    assert not work_of(gold_file.prepare(taxi, "run 1")).exists()


def test_after_rows_were_removed_from_the_source_everything_is_built(taxi, published, iceberg):
    iceberg.load_table("silver.cleaned_trips").delete("kafka_offset = 0")
    assert not work_of(gold_file.prepare(taxi, "run 1")).exists()


class TestSwap:
    """Readers have one file, and the next run builds on the other: nothing is copied."""

    @pytest.fixture
    def spare(self, taxi, published, arrive) -> Path:
        """The file that was published before the current one."""
        build_and_publish(taxi, gold_file.prepare(taxi, "run 1"), 8)
        arrive(1)
        return published.with_name("spare.duckdb")

    def test_a_run_takes_the_previously_published_file(self, taxi, published, spare):
        inodes = spare.stat().st_ino, published.stat().st_ino
        env = gold_file.prepare(taxi, "run 2")
        assert work_of(env).stat().st_ino == inodes[0]
        assert gold_file.count_fact(taxi, work_of(env)) == 5
        assert build_and_publish(taxi, env, 9) == 9
        assert (published.stat().st_ino, spare.stat().st_ino) == inodes
        assert gold_file.count_fact(taxi) == 9

    def test_a_concurrent_run_gets_a_copy(self, taxi, published, spare):
        gold_file.prepare(taxi, "run 2")
        assert gold_file.count_fact(taxi, work_of(gold_file.prepare(taxi, "run 3"))) == 8

    def test_a_run_after_a_failed_one_gets_a_copy(self, taxi, published, spare):
        build(work_of(gold_file.prepare(taxi, "run 2")), 77)
        env = gold_file.prepare(taxi, "run 2")
        assert gold_file.count_fact(taxi, work_of(env)) == 8
        assert build_and_publish(taxi, env, 9) == 9
        assert gold_file.count_fact(taxi, spare) == 8

    def test_a_run_that_does_not_publish_takes_nothing(self, taxi, published, spare):
        env = gold_file.prepare(taxi, "tests", copy=True)
        assert gold_file.count_fact(taxi, work_of(env)) == 8
        gold_file.discard(taxi, env)
        assert spare.exists()

    def test_a_reader_keeps_what_it_has_open(self, taxi, published, spare):
        """It opened the file while that was the published one."""
        with subprocess.Popen(
            [sys.executable, "-c", READER, str(spare)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as tool:
            assert tool.stdout.readline() == "5\n"
            env = gold_file.prepare(taxi, "run 2")
            assert gold_file.count_fact(taxi, work_of(env)) == 8
            build_and_publish(taxi, env, 9)
            tool.stdin.write("again\n")
            tool.stdin.close()
            assert tool.stdout.readline() == "5\n"

    def test_a_file_that_another_program_changed_is_not_built_upon(self, taxi, published, spare):
        spare.chmod(0o644)
        build(spare, 77)
        assert gold_file.count_fact(taxi, work_of(gold_file.prepare(taxi, "run 2"))) == 8
        published.chmod(0o644)
        build(published, 77)
        assert not work_of(gold_file.prepare(taxi, "run 3")).exists()

    def test_after_an_interrupted_publish_readers_keep_their_file(self, taxi, published, spare, monkeypatch):
        """Interrupted after the published file was linked as the spare one, before the run's own file was renamed."""
        env = gold_file.prepare(taxi, "run 2")
        build(work_of(env), 9)
        replace = os.replace

        def dies(source: Path, target: Path) -> None:
            if target == published:
                raise KeyboardInterrupt
            replace(source, target)

        with monkeypatch.context() as dying:
            dying.setattr(os, "replace", dies)
            with pytest.raises(KeyboardInterrupt):
                gold_file.publish(taxi, env)
        assert spare.samefile(published)
        work = work_of(gold_file.prepare(taxi, "run 3"))
        build(work, 77)
        assert gold_file.count_fact(taxi) == 8
        assert gold_file.publish(taxi, env).fact_rows == 9

    def test_a_file_system_without_links_copies(self, taxi, published, arrive, monkeypatch):
        def refused(*_: object) -> None:
            raise PermissionError("no links here")

        monkeypatch.setattr(os, "link", refused)
        build_and_publish(taxi, gold_file.prepare(taxi, "run 1"), 8)
        arrive(1)
        assert gold_file.count_fact(taxi, work_of(gold_file.prepare(taxi, "run 2"))) == 8


def test_a_run_reads_one_version_of_the_source(taxi, published, fill):
    env = gold_file.prepare(taxi, "run 1")
    fill("silver.cleaned_trips", 2)
    assert source_rows(env) == 8
    assert source_rows(gold_file.prepare(taxi, "run 2")) == 10


def tags(iceberg) -> dict[str, int]:
    """The source's tags by the run that they belong to."""
    refs = iceberg.load_table("silver.cleaned_trips").metadata.refs.items()
    return {name.removeprefix("gold-nyc_taxi-"): ref.snapshot_id for name, ref in refs if name != "main"}


def test_a_run_does_not_need_the_metadata_file_of_the_table(taxi, published, iceberg, arrive):
    env = gold_file.prepare(taxi, "run 1")
    build(work_of(env), 8)
    arrive(2)
    table = iceberg.load_table("silver.cleaned_trips")
    for entry in table.metadata.metadata_log:  # as after many commits
        Path(urlsplit(entry.metadata_file).path).unlink()
    assert source_rows(env) == 8
    with duckdb.connect() as reader:
        load_extensions(reader)
        found = reader.execute("SELECT count(*) FROM iceberg_scan(?)", [env["LAKEHOUSE_SOURCE_METADATA"]]).fetchone()
    assert found == (8,)
    assert gold_file.publish(taxi, env).fact_rows == 8


def test_a_tag_keeps_the_snapshot_of_a_run_until_it_is_published(taxi, published, iceberg, arrive):
    pinned = iceberg.load_table("silver.cleaned_trips").metadata.current_snapshot_id
    env = gold_file.prepare(taxi, "run 1")
    build(work_of(env), 8)
    arrive(1)
    assert tags(iceberg) == {work_of(env).parent.name: pinned}
    gold_file.publish(taxi, env)
    assert tags(iceberg) == {}


def test_tags_of_runs_without_a_folder_are_removed(taxi, published, iceberg):
    first = work_of(gold_file.prepare(taxi, "run 1")).parent
    shutil.rmtree(first)
    second = work_of(gold_file.prepare(taxi, "run 2")).parent
    assert tags(iceberg).keys() == {second.name}


def test_a_cleared_run_takes_the_latest_version(taxi, published, iceberg, fill):
    run = work_of(gold_file.prepare(taxi, "run 1")).parent.name
    fill("silver.cleaned_trips", 1)
    newest = iceberg.load_table("silver.cleaned_trips").metadata.current_snapshot_id
    env = gold_file.prepare(taxi, "run 1")
    assert (tags(iceberg), source_rows(env)) == ({run: newest}, 9)


def test_a_tag_is_set_while_the_writer_commits(taxi, published, iceberg, fill, monkeypatch):
    set_tag, commits = type(iceberg).commit_table, []

    def overtaken(catalog, *arguments):
        commits.append(arguments)
        if len(commits) <= 3:
            raise CommitFailedException("Table has been updated by another process")
        return set_tag(catalog, *arguments)

    monkeypatch.setattr(type(iceberg), "commit_table", overtaken)
    run = work_of(gold_file.prepare(taxi, "run 1")).parent.name
    assert tags(iceberg).keys() == {run}


def test_a_cleared_run_starts_over(taxi, published):
    env = gold_file.prepare(taxi, "run 1")
    build(work_of(env), 8)
    assert gold_file.prepare(taxi, "run 1") == env
    assert gold_file.count_fact(taxi, work_of(env)) == 5


def test_copies_of_unpublished_runs_are_deleted(taxi, published):
    copies = []
    for number in range(gold_file.KEEP_RUNS + 2):
        copies.append(work_of(gold_file.prepare(taxi, f"run {number}")).parent)
        os.utime(copies[-1], (number, number))
    assert [copy.exists() for copy in copies] == [False] * 2 + [True] * gold_file.KEEP_RUNS


def test_without_rows_there_is_nothing_to_build(taxi, fill):
    fill("silver.cleaned_trips", 0)
    with pytest.raises(AirflowSkipException, match=r"Next: send events to the topic taxi\.raw_trips"):
        gold_file.prepare(taxi, "run 1")


def test_publish_swaps_the_file_and_a_reader_keeps_its_own(taxi, published):
    env = gold_file.prepare(taxi, "run 1")
    build(work_of(env), 8)
    with duckdb.connect(str(published), read_only=True) as reader:
        ledger = gold_file.publish(taxi, env)
        assert reader.execute("SELECT count(*) FROM fct_trips").fetchone() == (5,)
    assert (ledger.fact_rows, ledger.balanced) == (8, True)
    assert gold_file.count_fact(taxi) == 8
    with duckdb.connect(str(published), read_only=True) as reader:
        message = reader.execute("SELECT source_snapshot_id FROM built_from").fetchone()
    assert message == (IcebergCatalogHook().table("silver.cleaned_trips").current_snapshot().snapshot_id,)
    assert list((published.parent / "runs").iterdir()) == []


READER = """
import duckdb, sys
tool = duckdb.connect(sys.argv[1], read_only=True)
for _ in range(2):
    print(tool.execute("SELECT count(*) FROM fct_trips").fetchone()[0], flush=True)
    sys.stdin.readline()
"""
WRITER = """
import duckdb, os, sys
tool = duckdb.connect(sys.argv[1])
tool.execute("SET wal_autocheckpoint = '1TB'")
tool.execute("DELETE FROM fct_trips WHERE row < 3")
print("changed", flush=True)
sys.stdin.read()
os._exit(0)
"""


@pytest.fixture
def writer(published) -> Iterator[subprocess.Popen[str]]:
    """A BI tool that has the published file open for writing and has changed it, without a checkpoint at its end."""
    published.chmod(0o644)
    command = [sys.executable, "-c", WRITER, str(published)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as tool:
        assert tool.stdout.readline() == "changed\n"
        yield tool
        tool.stdin.close()


def test_the_published_file_is_read_only(published):
    assert published.stat().st_mode & 0o222 == 0


def test_a_tool_that_writes_does_not_prevent_publishing(taxi, published, writer):
    env = gold_file.prepare(taxi, "run 1")
    assert gold_file.count_fact(taxi, work_of(env)) == 5
    with pytest.raises(AirflowException, match=r"gold\.duckdb cannot be opened\. Next: close it in the program"):
        gold_file.count_fact(taxi)
    assert build_and_publish(taxi, env, 8) == 8
    assert gold_file.count_fact(taxi) == 8


def test_leftovers_of_a_killed_tool_change_nothing(taxi, published, writer):
    writer.stdin.close()
    writer.wait(30)
    assert published.with_name("gold.duckdb.wal").exists()
    env = gold_file.prepare(taxi, "run 1")
    assert gold_file.count_fact(taxi, work_of(env)) == 5
    assert build_and_publish(taxi, env, 8) == 8
    assert gold_file.count_fact(taxi) == 8
    assert not published.with_name("gold.duckdb.wal").exists()


def test_a_reader_that_spills_continues(taxi, published):
    spilled = published.with_name("gold.duckdb.tmp")
    spilled.mkdir()
    build_and_publish(taxi, gold_file.prepare(taxi, "run 1"), 8)
    assert spilled.exists()


def test_publish_again_changes_nothing(taxi, published):
    env = gold_file.prepare(taxi, "run 1")
    build(work_of(env), 8)
    assert gold_file.publish(taxi, env).as_dict() == gold_file.publish(taxi, env).as_dict()


def build_and_publish(taxi, env: dict[str, str], rows: int) -> int:
    build(work_of(env), rows)
    return gold_file.publish(taxi, env).fact_rows


def test_a_slow_build_does_not_replace_a_later_version(taxi, published, arrive):
    slow = gold_file.prepare(taxi, "by hand")
    arrive(1)
    assert build_and_publish(taxi, gold_file.prepare(taxi, "run 1"), 9) == 9
    with pytest.raises(AirflowFailException, match=r"which is later: not published\. Next: trigger nyc_taxi_pipeline"):
        build_and_publish(taxi, slow, 8)
    assert gold_file.count_fact(taxi) == 9


def test_two_builds_of_one_version_are_both_published(taxi, published):
    first, second = gold_file.prepare(taxi, "run 1"), gold_file.prepare(taxi, "run 2")
    assert [build_and_publish(taxi, env, 8) for env in (first, second)] == [8, 8]


def test_another_table_is_not_an_earlier_version(taxi, published, arrive, iceberg, fill):
    arrive(1)
    build_and_publish(taxi, gold_file.prepare(taxi, "run 1"), 9)
    iceberg.drop_table("silver.cleaned_trips")
    fill("silver.cleaned_trips", range(8))
    assert build_and_publish(taxi, gold_file.prepare(taxi, "run 2"), 8) == 8


def test_a_rolled_back_version_can_be_replaced(taxi, published, arrive, iceberg):
    kept = iceberg.load_table("silver.cleaned_trips").metadata.current_snapshot_id
    arrive(1)
    build_and_publish(taxi, gold_file.prepare(taxi, "run 1"), 9)
    iceberg.load_table("silver.cleaned_trips").manage_snapshots().rollback_to_snapshot(kept).commit()
    assert build_and_publish(taxi, gold_file.prepare(taxi, "run 2", full_refresh=True), 8) == 8


@pytest.mark.parametrize("built", [7, 9])
def test_a_file_that_does_not_match_its_source_is_not_published(taxi, published, built):
    env = gold_file.prepare(taxi, "run 1")
    build(work_of(env), built)
    message = rf"fct_trips has {built} rows and late_duplicates 0, but their version of silver\.cleaned_trips has 8"
    with pytest.raises(AirflowException, match=message):
        gold_file.publish(taxi, env)
    assert gold_file.count_fact(taxi) == 5


def test_rows_that_the_fact_leaves_out_as_duplicates_are_accounted_for(taxi, published):
    env = gold_file.prepare(taxi, "run 1")
    build(work_of(env), 6)
    build(work_of(env), 2, "late_duplicates")
    ledger = gold_file.publish(taxi, env)
    assert (ledger.fact_rows, ledger.late_duplicates, ledger.balanced) == (6, 2, True)
    assert gold_file.count_late_duplicates(taxi) == 2


def test_rows_that_arrived_while_dbt_ran_do_not_prevent_publishing(taxi, published, fill, send):
    env = gold_file.prepare(taxi, "run 1")
    build(work_of(env), 8)
    send(TOPIC, 3)
    fill("bronze.raw_trips", 2)
    fill("silver.cleaned_trips", 1)
    assert not gold_file.publish(taxi, env).balanced
    assert gold_file.count_fact(taxi) == 8


def test_duplicates_prevent_publishing(taxi, published, fill):
    env = gold_file.prepare(taxi, "run 1")
    build(work_of(env), 8)
    fill("bronze.raw_trips", 1)
    with pytest.raises(AirflowException, match=r"not balanced, Gold is not published: .*1 row more"):
        gold_file.publish(taxi, env)
    assert gold_file.count_fact(taxi) == 5


def test_a_missing_file_is_named(taxi):
    message = r"Gold file .*/gold/nyc_taxi/gold\.duckdb does not exist\. Next: trigger nyc_taxi_pipeline"
    with pytest.raises(AirflowException, match=message):
        gold_file.count_fact(taxi)


def test_two_pipelines_share_no_file(taxi, shop, published, fill, send):
    """Neither copies nor counts nor published files, even for runs with the same id and tables in the same namespace."""
    send("shop.orders", 3)
    fill("bronze.orders", range(3))
    fill("bronze.bad_orders", 0)
    ours, theirs = gold_file.prepare(taxi, "run 1"), gold_file.prepare(shop, "run 1")
    assert source_rows(theirs) == 3
    assert not work_of(theirs).exists()
    build(work_of(ours), 8)
    build(work_of(theirs), 3, "fct_orders")

    assert gold_file.publish(shop, theirs).fact_rows == 3

    assert gold_file.published_file(shop) != gold_file.published_file(taxi)
    assert (gold_file.count_fact(shop), gold_file.count_fact(taxi)) == (3, 5)
    assert gold_file.publish(taxi, ours).fact_rows == 8


def test_a_legacy_file_is_moved_to_its_pipelines_folder(taxi, legacy):
    assert not work_of(gold_file.prepare(taxi, "run 1")).exists()  # it was built by other models
    assert gold_file.count_fact(taxi) == 5
    assert not legacy.exists()
    assert list((legacy.parent / "runs").iterdir()) == []


def test_a_legacy_file_is_replaced_by_a_later_one(taxi, legacy):
    assert build_and_publish(taxi, gold_file.prepare(taxi, "run 1"), 8) == 8


def test_another_pipeline_does_not_take_it(shop, legacy, fill):
    fill("bronze.orders", 3)
    assert not work_of(gold_file.prepare(shop, "run 1")).exists()
    assert legacy.exists()
    assert (legacy.parent / "runs" / "0123456789ab").exists()


def test_it_never_replaces_the_pipelines_own_file(taxi, legacy):
    newer = gold_file.published_file(taxi)
    newer.write_bytes(legacy.read_bytes())
    build(newer, 7)
    gold_file.prepare(taxi, "run 1")
    assert gold_file.count_fact(taxi) == 7
    assert legacy.exists()


@pytest.mark.parametrize("use", [lambda pipeline: gold_file.prepare(pipeline, "a run"), gold_file.count_fact])
def test_a_pipeline_without_gold_is_rejected(taxi, use):
    with pytest.raises(DeclarationError, match=r"nyc_taxi has no Gold\. Next: declare it under `gold` in include/"):
        use(taxi.model_copy(update={"gold": None}))
