"""Actions on jobs in every situation, with a stub of Flink, real tables and real state folders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from remembered import began, committed

from lakehouse.airflow.hooks.flink import FlinkError, FlinkUnavailable
from lakehouse.airflow.hooks.kafka import TopicHook
from lakehouse.airflow.hooks.unavailable import ServiceUnavailable
from lakehouse.streaming import cluster, deployer, operator_ids
from lakehouse.streaming import record as records
from lakehouse.streaming.deployer import JobDeployer
from lakehouse.streaming.job import Action, Deployment, FlinkJob
from lakehouse.streaming.record import JobRecord, RolledBack, Version
from lakehouse.streaming.stages import flink_job

A = "a" * 32
TABLE, OTHER = "bronze.raw_trips", "bronze.rejected_events"


@pytest.fixture(autouse=True)
def empty_tables(fill) -> None:
    fill(OTHER, 0)


@pytest.fixture
def act(job, flink) -> Callable[..., Deployment]:
    def act(action: Action = Action.RECONCILE, path: str | None = None, wanted: FlinkJob = job) -> Deployment:
        return JobDeployer(wanted, "trips").act(action, path)

    return act


@pytest.fixture
def remembered(job) -> Callable[..., JobRecord]:
    """Read the job's record, or write it first."""

    def remembered(record: JobRecord | None = None) -> JobRecord:
        if record:
            records.save(job, record)
        return records.load(job)

    return remembered


@pytest.fixture
def changed(job) -> FlinkJob:
    return replace(job, script=job.script.replace("INTO a", "INTO b"))


@pytest.fixture
def savepoint(job) -> str:
    """Path of the savepoint that the stub takes of a running job."""
    return f"{job.savepoint_dir}/savepoint-aaaaaa-1"


@pytest.fixture
def running(job, flink, commit, state, remembered) -> str:
    """The job runs as declared and has written rows up to checkpoint 7; returns that checkpoint's path."""
    flink.runs_as(job, A)
    commit(TABLE, A, 7)
    remembered(JobRecord(last_stable=Version.of(job), starts=(began(A),)))
    flink.savepoint = lambda: state("savepoints/trips.bronze/savepoint-aaaaaa-1", 8, age_s=10)
    return state(f"checkpoints/trips.bronze/{A}/chk-7", 7, age_s=20)


def test_a_job_that_runs_as_declared_is_unchanged(act, flink, running, job):
    assert act() == Deployment("trips.bronze", f"RUNNING ({A})", "unchanged", job.fingerprint, A)
    assert flink.posted == []


def test_a_first_start_has_no_state(act, flink, fill, job, remembered):
    fill(TABLE, 0)
    done = act()
    assert (done.found, done.action, done.restored_from) == ("not running", "started", None)
    assert flink.live() == [done.job_id]
    assert flink.runs[done.job_id]["restored"] is None
    assert remembered() == JobRecord(last_stable=Version.of(job), starts=(began(done.job_id),))


def test_a_missing_job_is_restored(act, flink, running):
    flink.runs.clear()
    done = act()
    assert (done.action, done.restored_from, flink.runs[done.job_id]["restored"]) == ("restored", running, running)


def test_a_job_with_rows_but_no_state_is_not_started(act, flink, commit):
    commit(TABLE, A, 7)
    with pytest.raises(AirflowException, match="is not started"):
        act()
    assert flink.posted == []


def test_changed_sql_is_deployed_from_a_savepoint(act, flink, running, changed, remembered, savepoint):
    done = act(wanted=changed)
    assert done == Deployment("trips.bronze", f"RUNNING ({A})", "upgraded", changed.fingerprint, done.job_id, savepoint)
    assert flink.live() == [done.job_id]
    assert flink.runs[A]["state"] == "FINISHED"
    assert remembered().last_stable == Version.of(changed)
    assert flink.session["execution.checkpointing.dir"] == changed.checkpoint_dir


class TestReader:
    """The job that reads the tables is upgraded first, so that it misses no value of a new field."""

    B = "b" * 32

    @pytest.fixture
    def reader(self, job) -> FlinkJob:
        return replace(job, name="trips.silver", script="INSERT INTO silver_new")

    def test_upgraded_if_the_reader_runs_as_declared_or_not_at_all(self, act, flink, running, job, changed, reader):
        done = act(wanted=replace(changed, readers=(reader,)))
        assert done.action == "upgraded"
        flink.runs_as(reader, self.B)
        assert act(wanted=replace(job, readers=(reader,))).action == "upgraded"

    def test_until_then_the_job_is_not_upgraded(self, act, flink, running, changed, reader, monkeypatch):
        monkeypatch.setattr(deployer, "READER_LIMIT_S", 0.2)
        flink.runs_as(replace(reader, script="INSERT INTO silver_old"), self.B)
        with pytest.raises(
            AirflowException,
            match=r"trips\.bronze keeps its old SQL until trips\.silver, .* Next: see the task that deploys trips\.silver",
        ):
            act(wanted=replace(changed, readers=(reader,)))
        assert set(flink.live()) == {A, self.B}
        assert flink.posted == [path for path in flink.posted if "/stop" not in path]

    def test_all_readers_are_awaited(self, act, flink, running, job, changed, reader, monkeypatch):
        monkeypatch.setattr(deployer, "READER_LIMIT_S", 0.2)
        other = replace(reader, name="trips.live")
        flink.runs_as(reader, self.B)
        flink.runs_as(replace(other, script="INSERT INTO live_old"), "c" * 32)
        with pytest.raises(AirflowException, match=r"until trips\.live,"):
            act(wanted=replace(changed, readers=(reader, other)))

    def test_changed_options_do_not_wait_for_readers(self, act, flink, running, job, reader):
        flink.runs_as(replace(reader, script="INSERT INTO silver_old"), self.B)
        assert act(wanted=replace(job, readers=(reader,), options={"a": "c"})).action == "upgraded"

    def test_a_job_that_runs_as_declared_does_not_wait(self, act, flink, running, job, reader):
        flink.runs_as(replace(reader, script="INSERT INTO silver_old"), self.B)
        assert act(wanted=replace(job, readers=(reader,))).action == "unchanged"


def test_invalid_sql_does_not_affect_the_running_job(act, flink, running, changed):
    flink.refused["EXPLAIN"] = "org.x.ValidationException: Column 'b' not found"
    with pytest.raises(AirflowFailException, match=r"the running job is not affected\..*Column 'b' not found"):
        act(wanted=changed)
    assert flink.live() == [A]
    assert f"/jobs/{A}/stop" not in flink.posted


def test_a_job_that_is_initializing_is_awaited(act, flink, running, changed):
    flink.begins = 2
    assert act(wanted=changed).action == "upgraded"
    assert flink.begins == 0


def test_without_a_savepoint_the_last_checkpoint_is_used(act, flink, running, changed):
    flink.savepoint = None
    done = act(wanted=changed)
    assert (done.action, done.restored_from, flink.runs[done.job_id]["restored"]) == ("upgraded", running, running)
    assert flink.runs[A]["state"] == "CANCELED"


def test_without_either_the_job_is_unchanged(act, flink, fill, job, changed):
    fill(TABLE, 0)
    flink.runs_as(job, A)
    with pytest.raises(AirflowException, match="no checkpoint yet to continue from: it is left as it is"):
        act(wanted=changed)
    assert flink.live() == [A]


class TestRollBack:
    def test_failing_sql_is_rolled_back(self, act, flink, running, job, changed, remembered, savepoint, state):
        """From the savepoint before it, not from one of its own checkpoints."""
        flink.fate[changed.fingerprint] = "FAILED"
        flink.submitted = lambda: state(f"checkpoints/trips.bronze/{list(flink.runs)[-1]}/chk-9", 9)
        with pytest.raises(
            AirflowFailException, match=r"was rolled back: it runs as before\..*is FAILED.*Next: fix the SQL"
        ):
            act(wanted=changed)
        (back,) = flink.live()
        assert (flink.runs[back]["fingerprint"], flink.runs[back]["restored"]) == (job.fingerprint, savepoint)
        record = remembered()
        assert (record.rolled_back.fingerprint, record.rolled_back.savepoint) == (changed.fingerprint, savepoint)
        assert record.last_stable == Version.of(job)

    def test_it_is_not_retried_until_it_changes(self, act, flink, running, changed, remembered):
        flink.fate[changed.fingerprint] = "FAILED"
        with pytest.raises(AirflowFailException):
            act(wanted=changed)
        runs, posted = dict(flink.runs), list(flink.posted)
        with pytest.raises(AirflowFailException, match="was rolled back"):
            act(wanted=changed)
        assert (flink.runs, flink.posted) == (runs, posted)

        fixed = replace(changed, script=changed.script.replace("INTO b", "INTO c"))
        assert act(wanted=fixed).action == "upgraded"
        assert remembered().rolled_back is None

    def test_declaring_the_old_sql_again_changes_nothing(self, act, flink, running, job, changed, remembered):
        flink.fate[changed.fingerprint] = "FAILED"
        with pytest.raises(AirflowFailException):
            act(wanted=changed)
        assert act().action == "unchanged"
        assert remembered().rolled_back is None

    def test_a_manual_restart_retries(self, act, flink, running, changed, remembered):
        flink.fate[changed.fingerprint] = "FAILED"
        with pytest.raises(AirflowFailException):
            act(wanted=changed)
        flink.fate.clear()
        assert act(Action.RESTART, wanted=changed).action == "restarted"
        assert (remembered().rolled_back, remembered().last_stable) == (None, Version.of(changed))

    def test_a_refused_submission_is_rolled_back(self, act, flink, running, job, changed):
        flink.refused["EXECUTE"] = "org.x.TableException: no"
        with pytest.raises(FlinkError, match="no"):
            act(wanted=changed)  # the old SQL is refused too, here
        del flink.refused["EXECUTE"]
        with pytest.raises(AirflowFailException, match="was rolled back"):
            act(wanted=changed)
        assert flink.runs[flink.live()[0]]["fingerprint"] == job.fingerprint


class TestServiceFailures:
    """A service failed after the job was stopped for an upgrade: the next run retries the same SQL."""

    @pytest.fixture
    def breaking(self, flink, monkeypatch, running) -> Callable[[Callable[[], object]], None]:
        """Call a function when the new SQL was submitted."""
        monkeypatch.setattr(cluster, "STABLE_LIMIT_S", 0.5)
        monkeypatch.setattr(cluster, "RUNNING_LIMIT_S", 0.5)
        return lambda happens: setattr(flink, "submitted", happens)

    def test_the_jobmanager_was_restarted(self, act, flink, breaking, changed, remembered):
        breaking(flink.runs.clear)
        with pytest.raises(FlinkUnavailable, match="JobManager was restarted"):
            act(wanted=changed)
        assert remembered().rolled_back is None

    def test_the_jobmanager_is_unavailable(self, act, flink, breaking, changed, remembered):
        breaking(lambda: setattr(flink, "away", True))
        with pytest.raises(FlinkUnavailable, match="cannot be reached"):
            act(wanted=changed)
        assert remembered().rolled_back is None

    def test_the_taskmanagers_are_unavailable(self, act, flink, breaking, changed, remembered):
        def happens() -> None:
            flink.task_managers = 0
            flink.runs[flink.live()[0]]["state"] = "RESTARTING"

        breaking(happens)
        with pytest.raises(TimeoutError, match="to be RUNNING"):
            act(wanted=changed)
        assert remembered().rolled_back is None

    def test_no_free_slot_because_there_is_no_taskmanager(self, act, flink, breaking, changed, remembered):
        flink.task_managers = 0
        with pytest.raises(TimeoutError, match="1 free Flink task slots"):
            act(wanted=changed)
        assert remembered().rolled_back is None

    def test_the_catalog_is_unavailable(self, flink, breaking, changed, connect, remembered):
        def happens() -> None:
            connect("iceberg_catalog", port=1)
            flink.runs[flink.live()[0]]["state"] = "FAILED"

        breaking(happens)
        with pytest.raises(AirflowException, match=r"Iceberg catalog .* does not answer"):
            JobDeployer(changed, "trips").act(Action.RECONCILE)
        assert remembered().rolled_back is None


class TestInterruptedUpgrade:
    """The process of an upgrade was killed: the next one continues where it ended."""

    def test_after_the_stop(self, act, flink, running, changed, savepoint, remembered):
        flink.runs[A]["state"] = "FINISHED"
        flink.savepoint()
        done = act(wanted=changed)
        assert (done.action, done.restored_from) == ("restored", savepoint)
        assert remembered().last_stable == Version.of(changed)

    def test_after_the_stop_with_failing_sql(self, act, flink, running, job, changed, savepoint):
        flink.runs[A]["state"] = "FINISHED"
        flink.savepoint()
        flink.fate[changed.fingerprint] = "FAILED"
        with pytest.raises(AirflowFailException, match="was rolled back"):
            act(wanted=changed)
        (back,) = flink.live()
        assert (flink.runs[back]["fingerprint"], flink.runs[back]["restored"]) == (job.fingerprint, savepoint)

    @pytest.fixture
    def submitted(self, flink, running, changed, savepoint, remembered) -> str:
        """The new SQL is running, but not known to be stable yet; returns its job id."""
        flink.runs[A]["state"] = "FINISHED"
        flink.savepoint()
        flink.runs_as(changed, job_id := "b" * 32)
        remembered(remembered().starting(began(job_id, savepoint)))
        return job_id

    def test_after_the_submission(self, act, flink, submitted, changed, remembered):
        done = act(wanted=changed)
        assert (done.action, done.job_id) == ("re-attached", submitted)
        assert (flink.live(), remembered().last_stable) == ([submitted], Version.of(changed))

    def test_after_the_submission_of_failing_sql(self, act, flink, submitted, job, changed, savepoint, monkeypatch):
        failure = {"stacktrace": "org.x.Oops: boom"}
        monkeypatch.setattr("lakehouse.airflow.hooks.flink.FlinkRestHook.exceptions", lambda *_: [failure] * 3)
        with pytest.raises(AirflowFailException, match=r"keeps failing: org\.x\.Oops: boom"):
            act(wanted=changed)
        (back,) = flink.live()
        assert (flink.runs[back]["fingerprint"], flink.runs[back]["restored"]) == (job.fingerprint, savepoint)
        assert flink.runs[submitted]["state"] == "CANCELED"

    def test_during_a_rollback(self, act, flink, submitted, job, changed, savepoint, remembered):
        """The failed SQL still runs: no savepoint of it is taken, because the old SQL may not be able to read it."""
        remembered(
            remembered().changed(
                rolled_back=RolledBack(fingerprint=changed.fingerprint, reason="failed", savepoint=savepoint)
            )
        )
        with pytest.raises(AirflowFailException, match="was rolled back"):
            act(wanted=changed)
        assert flink.runs[submitted]["state"] == "CANCELED"
        assert flink.runs[flink.live()[0]]["restored"] == savepoint


class TestRenamed:
    """A renamed job continues with its state from before."""

    @pytest.fixture
    def renamed(self, job) -> FlinkJob:
        return replace(job, name="trips.raw", renamed_from=job.name)

    def test_a_job_that_runs_under_its_old_name_is_upgraded(self, act, flink, running, renamed, state):
        flink.savepoint = lambda: state("savepoints/trips.raw/savepoint-aaaaaa-1", 8, age_s=10)
        done = act(wanted=renamed)
        assert (done.job, done.action) == ("trips.raw", "upgraded")
        assert done.restored_from.endswith("savepoints/trips.raw/savepoint-aaaaaa-1")
        assert [flink.runs[job_id]["name"] for job_id in flink.live()] == ["trips.raw"]
        assert act(wanted=renamed).action == "unchanged"

    def test_a_missing_renamed_job_is_restored(self, act, flink, running, renamed):
        flink.runs.clear()
        done = act(wanted=renamed)
        assert (done.action, done.restored_from) == ("restored", running)

    def test_a_suspended_renamed_job_stays_suspended(self, act, flink, running, renamed, remembered):
        flink.runs.clear()
        remembered(remembered().changed(suspended=True))
        assert act(wanted=renamed).action == "suspended"
        assert flink.live() == []


class TestStopped:
    """The jobs of a disabled pipeline are stopped, and continue from there when it is enabled again."""

    def test_and_started_again(self, act, flink, running, job, savepoint):
        stopped = JobDeployer(job, "trips").stop()
        assert (stopped.action, stopped.savepoint, flink.live()) == ("stopped", savepoint, [])
        again = act()
        assert (again.action, again.restored_from) == ("restored", savepoint)

    def test_stopping_twice_changes_nothing(self, flink, running, job, savepoint):
        JobDeployer(job, "trips").stop()
        posted = [*flink.posted]
        assert JobDeployer(job, "trips").stop().savepoint == savepoint
        assert flink.posted == posted


class TestSuspended:
    def test_it_stays_suspended(self, act, flink, running, remembered, savepoint):
        done = act(Action.SUSPEND)
        assert (done.found, done.action, done.savepoint) == (f"RUNNING ({A})", "suspended", savepoint)
        again = act()
        assert (again.found, again.action, again.savepoint) == ("not running", "suspended", savepoint)
        assert (flink.live(), remembered().suspended) == ([], True)

    def test_until_it_is_resumed(self, act, flink, running, remembered, savepoint):
        act(Action.SUSPEND)
        done = act(Action.RESUME)
        assert (done.action, done.restored_from) == ("restored", savepoint)
        assert (flink.live(), remembered().suspended) == ([done.job_id], False)

    def test_a_job_that_was_started_meanwhile_is_stopped(self, act, flink, running, job):
        act(Action.SUSPEND)
        flink.runs_as(job, A)
        assert act().action == "suspended"
        assert flink.live() == []

    def test_a_job_that_never_ran_has_no_savepoint(self, act, flink, fill):
        fill(TABLE, 0)
        done = act(Action.SUSPEND)
        assert (done.action, done.savepoint, flink.live()) == ("suspended", None, [])


class TestManualActions:
    @pytest.mark.parametrize("action", [action for action in Action if action is not Action.RESTART])
    def test_a_path_is_for_a_restart(self, act, flink, running, action):
        with pytest.raises(AirflowFailException, match=rf"state_path \(file:///x\) is for .*restart, not for {action}"):
            act(action, "file:///x")
        assert flink.posted == []

    def test_a_savepoint_leaves_the_job_running(self, act, flink, running, savepoint):
        done = act(Action.SAVEPOINT)
        assert (done.action, done.savepoint, flink.live()) == ("savepoint", savepoint, [A])

    def test_no_savepoint_of_a_missing_job(self, act, flink):
        with pytest.raises(AirflowFailException, match="is not running, so no savepoint can be taken"):
            act(Action.SAVEPOINT)

    def test_a_restart_continues_from_a_savepoint(self, act, flink, running, savepoint):
        done = act(Action.RESTART)
        assert (done.action, done.restored_from) == ("restarted", savepoint)
        assert flink.live() == [done.job_id] != [A]

    def test_a_restart_from_a_path(self, act, flink, running):
        done = act(Action.RESTART, running)
        assert (done.restored_from, flink.runs[done.job_id]["restored"]) == (running, running)

    def test_an_outdated_path_leaves_the_job_running(self, act, flink, running, state):
        old = state(f"checkpoints/trips.bronze/{A}/chk-6", 6)
        with pytest.raises(AirflowFailException, match="that would duplicate rows"):
            act(Action.RESTART, old)
        assert (flink.live(), flink.posted) == ([A], [])

    def test_a_path_that_the_stop_makes_outdated_leaves_the_job_running(self, act, flink, running, commit, savepoint):
        take = flink.savepoint
        flink.savepoint = lambda: (commit(TABLE, A, 8), take())[1]
        with pytest.raises(AirflowFailException, match="that would duplicate rows"):
            act(Action.RESTART, running)
        assert flink.runs[flink.live()[0]]["restored"] == savepoint

    def test_only_a_job_that_reads_kafka_knows_its_last_row(self, act, flink, running):
        with pytest.raises(
            AirflowFailException, match=r"do not contain their position in its source\. Next: .*DAG replay"
        ):
            act(Action.START_AFTER_LAST_ROW)

    def test_only_a_missing_job_starts_after_its_last_row(self, act, flink, running, job):
        with pytest.raises(AirflowFailException, match=rf"\({A}\) is RUNNING: start_after_last_row is only for"):
            act(Action.START_AFTER_LAST_ROW, wanted=replace(job, topic_tables={"trip_events": TABLE}))
        assert flink.live() == [A]


class TestAfterTheLastRow:
    @pytest.fixture
    def lost(self, job, commit, send, monkeypatch) -> FlinkJob:
        """The job is gone with its state; its table has rows of partition 0 up to offset 4."""
        commit(TABLE, A, 500)
        send("trips", 1)
        monkeypatch.setattr("lakehouse.streaming.deployer.next_offsets", lambda topic, sources: {"trip_events": {0: 5}})
        return replace(job, topic_tables={"trip_events": TABLE})

    def test_the_sources_start_there(self, act, flink, lost, remembered):
        done = act(Action.START_AFTER_LAST_ROW, wanted=lost)
        assert (done.action, done.restored_from) == ("started", '{"trip_events": {"0": 5}}')
        assert flink.statements[-2].startswith("ALTER TABLE trip_events SET ('scan.startup.mode' = 'specific-offsets'")
        assert flink.runs[done.job_id]["restored"] is None
        assert remembered().starts == (began(done.job_id, None, (committed(TABLE, A, 500),)),)

    def test_its_first_states_can_be_restored(self, act, flink, lost, state, fill):
        """Its checkpoint ids start at 1, below those of earlier commits to the tables."""
        started = act(Action.START_AFTER_LAST_ROW, wanted=lost)
        flink.runs.clear()
        checkpoint = state(f"checkpoints/trips.bronze/{started.job_id}/chk-1", 1)
        assert act(wanted=lost).restored_from == checkpoint


class TestDeletedEvents:
    """Flink would silently continue with the first event that Kafka still has."""

    @pytest.fixture
    def gone(self, job, flink, taxi, send, fill, state, remembered, monkeypatch) -> FlinkJob:
        """The job is gone. It wrote the offsets 0 to 3 of partition 0; Kafka had ten events, and now begins at 7."""
        send(taxi.topic.name, 10)
        fill(TABLE, range(4))
        declared = flink_job(taxi, taxi.stages["bronze"])
        declared.reconcile()
        self.begins(monkeypatch, 7)
        remembered(JobRecord(last_stable=Version.of(job), starts=(began(A),)))
        state(f"checkpoints/trips.bronze/{A}/chk-7", 7)
        return replace(job, topic_tables={"trip_events": TABLE}, reconcile=declared.reconcile)

    def begins(self, monkeypatch, first: int) -> None:
        monkeypatch.setattr(TopicHook, "start_offsets", lambda hook: {**dict.fromkeys(hook.end_offsets(), 0), 0: first})

    @pytest.mark.parametrize("action", [Action.RECONCILE, Action.RESUME, Action.RESTART, Action.START_AFTER_LAST_ROW])
    def test_a_start_is_refused_until_the_loss_is_acknowledged(self, act, flink, gone, run, action):
        refused = (
            r"trips\.bronze is not started: Kafka topic trips no longer has 3 events that are in none of bronze\.raw_trips, "
            r"bronze\.rejected_events \(partition 0: offsets 4 to 6\), .* \(make acknowledge-loss PIPELINE=trips\)"
        )
        with pytest.raises(AirflowException, match=refused):
            act(action, wanted=gone)
        assert flink.live() == []
        assert run("acknowledge-loss") == 0
        done = act(action, wanted=gone)
        assert flink.live() == [done.job_id]

    def test_a_repair_is_refused_too(self, flink, gone):
        with pytest.raises(AirflowException, match="is not started"):
            JobDeployer(gone, "trips").repair()
        assert flink.live() == []

    def test_events_in_the_tables_are_not_lost(self, act, gone, monkeypatch):
        self.begins(monkeypatch, 4)
        assert act(wanted=gone).action == "restored"

    def test_deleted_rows_before_the_last_one_do_not_prevent_a_start(self, act, gone, iceberg, monkeypatch):
        """`rows-missing` reports them, and the job continues after them."""
        iceberg.load_table(TABLE).delete("kafka_offset < 2")
        self.begins(monkeypatch, 4)
        assert len(gone.reconcile().deleted_unread) == 2
        assert act(wanted=gone).action == "restored"

    def test_a_running_job_is_upgraded_anyway(self, act, flink, gone, changed, savepoint, state, monkeypatch):
        """It keeps reading: events that it was too slow for are lost already."""
        self.begins(monkeypatch, 10)
        flink.runs_as(gone, A)
        flink.savepoint = lambda: state("savepoints/trips.bronze/savepoint-aaaaaa-1", 8)
        assert act(wanted=replace(gone, script=changed.script)).restored_from == savepoint

    def test_a_job_starts_even_if_kafka_cannot_be_checked(self, act, gone, caplog):
        def away() -> None:
            raise ServiceUnavailable("Kafka does not answer")

        assert act(wanted=replace(gone, reconcile=away)).action == "restored"
        assert "started without a check of Kafka's first offsets: Kafka does not answer" in caplog.text


class TestJobIds:
    """Flink refuses to submit an id twice, and an id that has committed must not be started without state again."""

    @pytest.fixture
    def ids(self, act, flink, job, fill) -> Callable[..., str]:
        fill(TABLE, 0)

        def ids(state: str | None = None, wanted: FlinkJob = job) -> str:
            return JobDeployer(wanted, "trips")._job_id(wanted, state)

        return ids

    def test_the_same_start_has_the_same_id(self, ids):
        assert ids() == ids()
        assert ids("file:///chk-1") == ids("file:///chk-1")
        assert len(ids()) == 32
        assert int(ids(), 16)

    def test_any_other_start_has_another_id(self, ids, flink, changed, job, commit, iceberg, fill):
        found = [ids(), ids("file:///chk-1"), ids("file:///chk-2"), ids(wanted=changed)]
        flink.runs_as(job, A, "FAILED")
        found.append(ids())
        flink.runs.clear()
        commit(OTHER)
        found.append(ids())
        commit(OTHER)
        found.append(ids())
        iceberg.drop_table(OTHER)
        fill(OTHER, 0)
        found.append(ids())
        assert len(set(found)) == len(found)

    def test_a_repeated_submission_is_not_an_error(self, act, flink, ids, job):
        flink.runs_as(job, ids(), "RUNNING")
        deployer = JobDeployer(job, "trips")
        flink.refused["EXECUTE"] = "DuplicateJobSubmissionException"
        deployer.cluster.submit(job, flink.live()[0], None, {})
        with pytest.raises(FlinkError, match="DuplicateJobSubmissionException"):
            deployer.cluster.submit(job, A, None, {})


class TestRepair:
    """Actions after a task failed that a deployment depends on."""

    @pytest.fixture
    def repair(self, changed, flink) -> Callable[[], Deployment]:
        """While the declared SQL differs from the running SQL."""
        return lambda: JobDeployer(changed, "trips").repair()

    def test_a_running_job_is_unchanged_although_its_sql_has_changed(self, repair, running, flink):
        assert repair().action == "left alone"
        assert flink.posted == []

    def test_a_missing_job_is_restored_with_its_last_stable_sql(self, repair, running, flink, job):
        flink.runs.clear()
        done = repair()
        assert (done.action, done.restored_from, done.fingerprint) == ("restored", running, job.fingerprint)
        assert flink.live() == [done.job_id]

    def test_a_suspended_job_stays_suspended(self, repair, running, flink, remembered):
        flink.runs.clear()
        remembered(remembered().changed(suspended=True))
        assert repair().action == "suspended"
        assert flink.live() == []

    def test_a_job_that_never_ran_is_not_started(self, repair, fill, flink):
        fill(TABLE, 0)
        with pytest.raises(AirflowException, match=r"trips\.bronze never ran, and is not started.* Next: "):
            repair()
        assert flink.live() == []


class TestOptions:
    """With some options Flink could not restore the state of a job; it keeps running without them."""

    @pytest.fixture
    def refused(self, act, job, flink):
        """Deploy options that are refused while the job keeps running; return the message."""

        def refused(options: dict[str, str], action: Action = Action.RECONCILE) -> str:
            with pytest.raises(AirflowFailException) as error:
                act(action, wanted=replace(job, options=options))
            assert (flink.live(), flink.posted) == ([A], [])
            return str(error.value)

        return refused

    def test_other_parallelism_of_a_job_without_stable_ids(self, refused, running):
        message = refused({"parallelism.default": "2"})
        assert "trips.bronze keeps parallelism.default = 1: with 2, " in message
        assert "DAG replay" in message
        assert refused({"parallelism.default": "2"}, Action.RESTART) == message

    def test_other_chaining(self, refused, running):
        assert "pipeline.operator-chaining.enabled" in refused({"pipeline.operator-chaining.enabled": "false"})

    def test_more_parallelism_than_slots(self, refused, running):
        assert "has parallelism 5" in (message := refused({"parallelism.default": "5"}))
        assert "has 4 task slots" in message

    def test_other_parallelism_of_a_job_with_stable_ids(self, act, flink, running, job, remembered):
        stable = replace(job, options=operator_ids.STABLE)
        flink.runs_as(stable, A)
        remembered(JobRecord(last_stable=Version.of(stable), starts=(began(A),)))
        assert act(wanted=replace(job, options=operator_ids.STABLE | {"parallelism.default": "4"})).action == "upgraded"

    def test_a_missing_job_is_restored_without_them(self, act, flink, running, job):
        flink.runs.clear()
        with pytest.raises(AirflowFailException, match="runs as before"):
            act(wanted=replace(job, options={"pipeline.max-parallelism": "8"}))
        assert [flink.runs[run]["restored"] for run in flink.live()] == [running]
