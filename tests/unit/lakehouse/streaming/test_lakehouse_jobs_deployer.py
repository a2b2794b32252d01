"""What is done with a job, by what is found of it: against a small Flink, real tables and real state folders."""

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
    """Read the job's record, or write one first."""

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
    """Where the small Flink puts the savepoint of a job that runs."""
    return f"{job.savepoint_dir}/savepoint-aaaaaa-1"


@pytest.fixture
def running(job, flink, commit, state, remembered) -> str:
    """The job runs as declared and has written rows up to checkpoint 7; returns the path of that one."""
    flink.runs_as(job, A)
    commit(TABLE, A, 7)
    remembered(JobRecord(last_stable=Version.of(job), starts=(began(A),)))
    flink.savepoint = lambda: state("savepoints/trips.bronze/savepoint-aaaaaa-1", 8, age_s=10)
    return state(f"checkpoints/trips.bronze/{A}/chk-7", 7, age_s=20)


def test_a_job_that_runs_as_declared_is_left_alone(act, flink, running, job):
    assert act() == Deployment("trips.bronze", f"RUNNING ({A})", "unchanged", job.fingerprint, A)
    assert flink.posted == []


def test_a_first_start_has_no_state(act, flink, fill, job, remembered):
    fill(TABLE, 0)
    done = act()
    assert (done.found, done.action, done.restored_from) == ("not running", "started", None)
    assert flink.live() == [done.job_id]
    assert flink.runs[done.job_id]["restored"] is None
    assert remembered() == JobRecord(last_stable=Version.of(job), starts=(began(done.job_id),))


def test_a_job_that_is_gone_is_restored(act, flink, running):
    flink.runs.clear()
    done = act()
    assert (done.action, done.restored_from, flink.runs[done.job_id]["restored"]) == ("restored", running, running)


def test_rows_without_state_are_not_written_again(act, flink, commit):
    commit(TABLE, A, 7)
    with pytest.raises(AirflowException, match="is not started"):
        act()
    assert flink.posted == []


def test_changed_sql_goes_on_from_a_savepoint(act, flink, running, changed, remembered, savepoint):
    done = act(wanted=changed)
    assert done == Deployment("trips.bronze", f"RUNNING ({A})", "upgraded", changed.fingerprint, done.job_id, savepoint)
    assert flink.live() == [done.job_id]
    assert flink.runs[A]["state"] == "FINISHED"
    assert remembered().last_stable == Version.of(changed)
    assert flink.session["execution.checkpointing.dir"] == changed.checkpoint_dir


class TestReader:
    """The job that reads the tables learns a new field first, so that it passes over none."""

    B = "b" * 32

    @pytest.fixture
    def reader(self, job) -> FlinkJob:
        return replace(job, name="trips.silver", script="INSERT INTO silver_new")

    def test_it_runs_as_declared_or_not_at_all(self, act, flink, running, job, changed, reader):
        done = act(wanted=replace(changed, readers=(reader,)))
        assert done.action == "upgraded"
        flink.runs_as(reader, self.B)
        assert act(wanted=replace(job, readers=(reader,))).action == "upgraded"

    def test_until_then_the_job_goes_on_as_it_is(self, act, flink, running, changed, reader, monkeypatch):
        monkeypatch.setattr(deployer, "READER_LIMIT_S", 0.2)
        flink.runs_as(replace(reader, script="INSERT INTO silver_old"), self.B)
        with pytest.raises(
            AirflowException,
            match=r"trips\.bronze goes on with its old SQL until trips\.silver, .* see the task that deploys trips\.silver",
        ):
            act(wanted=replace(changed, readers=(reader,)))
        assert set(flink.live()) == {A, self.B}
        assert flink.posted == [path for path in flink.posted if "/stop" not in path]

    def test_every_reader_is_waited_for(self, act, flink, running, job, changed, reader, monkeypatch):
        monkeypatch.setattr(deployer, "READER_LIMIT_S", 0.2)
        other = replace(reader, name="trips.live")
        flink.runs_as(reader, self.B)
        flink.runs_as(replace(other, script="INSERT INTO live_old"), "c" * 32)
        with pytest.raises(AirflowException, match=r"until trips\.live,"):
            act(wanted=replace(changed, readers=(reader, other)))

    def test_for_other_options_nobody_is_waited_for(self, act, flink, running, job, reader):
        flink.runs_as(replace(reader, script="INSERT INTO silver_old"), self.B)
        assert act(wanted=replace(job, readers=(reader,), options={"a": "c"})).action == "upgraded"

    def test_a_job_that_runs_as_declared_waits_for_nobody(self, act, flink, running, job, reader):
        flink.runs_as(replace(reader, script="INSERT INTO silver_old"), self.B)
        assert act(wanted=replace(job, readers=(reader,))).action == "unchanged"


def test_sql_that_does_not_plan_leaves_the_running_job_alone(act, flink, running, changed):
    flink.refused["EXPLAIN"] = "org.x.ValidationException: Column 'b' not found"
    with pytest.raises(AirflowFailException, match=r"what runs goes on as it is\..*Column 'b' not found"):
        act(wanted=changed)
    assert flink.live() == [A]
    assert f"/jobs/{A}/stop" not in flink.posted


def test_a_job_that_just_begins_cannot_be_asked_yet(act, flink, running, changed):
    flink.begins = 2
    assert act(wanted=changed).action == "upgraded"
    assert flink.begins == 0


def test_without_a_savepoint_the_last_checkpoint_serves(act, flink, running, changed):
    flink.savepoint = None
    done = act(wanted=changed)
    assert (done.action, done.restored_from, flink.runs[done.job_id]["restored"]) == ("upgraded", running, running)
    assert flink.runs[A]["state"] == "CANCELED"


def test_with_neither_the_job_is_left_as_it_is(act, flink, fill, job, changed):
    fill(TABLE, 0)
    flink.runs_as(job, A)
    with pytest.raises(AirflowException, match="no checkpoint yet to go on from: it is left as it is"):
        act(wanted=changed)
    assert flink.live() == [A]


class TestRollBack:
    def test_sql_that_fails_is_taken_back(self, act, flink, running, job, changed, remembered, savepoint, state):
        """From the savepoint before it, not from a checkpoint of its own."""
        flink.fate[changed.fingerprint] = "FAILED"
        flink.submitted = lambda: state(f"checkpoints/trips.bronze/{list(flink.runs)[-1]}/chk-9", 9)
        with pytest.raises(AirflowFailException, match=r"was rolled back: it runs as before\..*is FAILED.*Fix the SQL"):
            act(wanted=changed)
        (back,) = flink.live()
        assert (flink.runs[back]["fingerprint"], flink.runs[back]["restored"]) == (job.fingerprint, savepoint)
        record = remembered()
        assert (record.rolled_back.fingerprint, record.rolled_back.savepoint) == (changed.fingerprint, savepoint)
        assert record.last_stable == Version.of(job)

    def test_and_is_not_tried_again_until_it_changes(self, act, flink, running, changed, remembered):
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

    def test_the_old_sql_again_changes_nothing(self, act, flink, running, job, changed, remembered):
        flink.fate[changed.fingerprint] = "FAILED"
        with pytest.raises(AirflowFailException):
            act(wanted=changed)
        assert act().action == "unchanged"
        assert remembered().rolled_back is None

    def test_by_hand_it_is_tried_again(self, act, flink, running, changed, remembered):
        flink.fate[changed.fingerprint] = "FAILED"
        with pytest.raises(AirflowFailException):
            act(wanted=changed)
        flink.fate.clear()
        assert act(Action.RESTART, wanted=changed).action == "restarted"
        assert (remembered().rolled_back, remembered().last_stable) == (None, Version.of(changed))

    def test_a_submission_that_is_refused_is_taken_back(self, act, flink, running, job, changed):
        flink.refused["EXECUTE"] = "org.x.TableException: no"
        with pytest.raises(FlinkError, match="no"):
            act(wanted=changed)  # the old SQL is refused too, here
        del flink.refused["EXECUTE"]
        with pytest.raises(AirflowFailException, match="was rolled back"):
            act(wanted=changed)
        assert flink.runs[flink.live()[0]]["fingerprint"] == job.fingerprint


class TestNotTheFaultOfTheSql:
    """The job was stopped for an upgrade, and then a part went away: the next run tries the same SQL again."""

    @pytest.fixture
    def breaking(self, flink, monkeypatch, running) -> Callable[[Callable[[], object]], None]:
        """Have something happen the moment that the new SQL was submitted."""
        monkeypatch.setattr(cluster, "STABLE_LIMIT_S", 0.5)
        monkeypatch.setattr(cluster, "RUNNING_LIMIT_S", 0.5)
        return lambda happens: setattr(flink, "submitted", happens)

    def test_the_jobmanager_was_restarted(self, act, flink, breaking, changed, remembered):
        breaking(flink.runs.clear)
        with pytest.raises(FlinkUnavailable, match="JobManager was restarted"):
            act(wanted=changed)
        assert remembered().rolled_back is None

    def test_the_jobmanager_is_away(self, act, flink, breaking, changed, remembered):
        breaking(lambda: setattr(flink, "away", True))
        with pytest.raises(FlinkUnavailable, match="cannot be reached"):
            act(wanted=changed)
        assert remembered().rolled_back is None

    def test_the_taskmanagers_are_away(self, act, flink, breaking, changed, remembered):
        def happens() -> None:
            flink.task_managers = 0
            flink.runs[flink.live()[0]]["state"] = "RESTARTING"

        breaking(happens)
        with pytest.raises(TimeoutError, match="to be RUNNING"):
            act(wanted=changed)
        assert remembered().rolled_back is None

    def test_no_slot_is_free_because_no_taskmanager_is_there(self, act, flink, breaking, changed, remembered):
        flink.task_managers = 0
        with pytest.raises(TimeoutError, match="1 free Flink task slots"):
            act(wanted=changed)
        assert remembered().rolled_back is None

    def test_the_catalog_is_away(self, flink, breaking, changed, connect, remembered):
        def happens() -> None:
            connect("iceberg_catalog", port=1)
            flink.runs[flink.live()[0]]["state"] = "FAILED"

        breaking(happens)
        with pytest.raises(AirflowException, match=r"Iceberg catalog .* does not answer"):
            JobDeployer(changed, "trips").act(Action.RECONCILE)
        assert remembered().rolled_back is None


class TestDiedInTheMiddle:
    """The process of an upgrade was killed: the next one goes on from where it was."""

    def test_after_the_stop(self, act, flink, running, changed, savepoint, remembered):
        flink.runs[A]["state"] = "FINISHED"
        flink.savepoint()
        done = act(wanted=changed)
        assert (done.action, done.restored_from) == ("restored", savepoint)
        assert remembered().last_stable == Version.of(changed)

    def test_after_the_stop_with_sql_that_fails(self, act, flink, running, job, changed, savepoint):
        flink.runs[A]["state"] = "FINISHED"
        flink.savepoint()
        flink.fate[changed.fingerprint] = "FAILED"
        with pytest.raises(AirflowFailException, match="was rolled back"):
            act(wanted=changed)
        (back,) = flink.live()
        assert (flink.runs[back]["fingerprint"], flink.runs[back]["restored"]) == (job.fingerprint, savepoint)

    @pytest.fixture
    def submitted(self, flink, running, changed, savepoint, remembered) -> str:
        """The new SQL runs already, unproven; returns its job id."""
        flink.runs[A]["state"] = "FINISHED"
        flink.savepoint()
        flink.runs_as(changed, job_id := "b" * 32)
        remembered(remembered().starting(began(job_id, savepoint)))
        return job_id

    def test_after_the_submission(self, act, flink, submitted, changed, remembered):
        done = act(wanted=changed)
        assert (done.action, done.job_id) == ("re-attached", submitted)
        assert (flink.live(), remembered().last_stable) == ([submitted], Version.of(changed))

    def test_after_the_submission_of_sql_that_fails(self, act, flink, submitted, job, changed, savepoint, monkeypatch):
        failure = {"stacktrace": "org.x.Oops: boom"}
        monkeypatch.setattr("lakehouse.airflow.hooks.flink.FlinkRestHook.exceptions", lambda *_: [failure] * 3)
        with pytest.raises(AirflowFailException, match=r"fails again and again: org\.x\.Oops: boom"):
            act(wanted=changed)
        (back,) = flink.live()
        assert (flink.runs[back]["fingerprint"], flink.runs[back]["restored"]) == (job.fingerprint, savepoint)
        assert flink.runs[submitted]["state"] == "CANCELED"

    def test_in_a_roll_back(self, act, flink, submitted, job, changed, savepoint, remembered):
        """The refused SQL still runs: no savepoint of it is taken, whose state the old SQL may not read."""
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
    """A job that has another name now goes on with the state of the old one."""

    @pytest.fixture
    def renamed(self, job) -> FlinkJob:
        return replace(job, name="trips.raw", renamed_from=job.name)

    def test_one_that_runs_under_its_old_name_is_upgraded(self, act, flink, running, renamed, state):
        flink.savepoint = lambda: state("savepoints/trips.raw/savepoint-aaaaaa-1", 8, age_s=10)
        done = act(wanted=renamed)
        assert (done.job, done.action) == ("trips.raw", "upgraded")
        assert done.restored_from.endswith("savepoints/trips.raw/savepoint-aaaaaa-1")
        assert [flink.runs[job_id]["name"] for job_id in flink.live()] == ["trips.raw"]
        assert act(wanted=renamed).action == "unchanged"

    def test_one_that_is_gone_is_restored(self, act, flink, running, renamed):
        flink.runs.clear()
        done = act(wanted=renamed)
        assert (done.action, done.restored_from) == ("restored", running)

    def test_one_that_was_suspended_stays_so(self, act, flink, running, renamed, remembered):
        flink.runs.clear()
        remembered(remembered().changed(suspended=True))
        assert act(wanted=renamed).action == "suspended"
        assert flink.live() == []


class TestStopped:
    """The jobs of a pipeline that is switched off stop, and go on from there when it is switched on again."""

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
    def test_it_stays_so(self, act, flink, running, remembered, savepoint):
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

    def test_a_job_that_somebody_started_meanwhile_is_stopped(self, act, flink, running, job):
        act(Action.SUSPEND)
        flink.runs_as(job, A)
        assert act().action == "suspended"
        assert flink.live() == []

    def test_one_that_never_ran_has_no_savepoint(self, act, flink, fill):
        fill(TABLE, 0)
        done = act(Action.SUSPEND)
        assert (done.action, done.savepoint, flink.live()) == ("suspended", None, [])


class TestByHand:
    @pytest.mark.parametrize("action", [action for action in Action if action is not Action.RESTART])
    def test_a_path_is_for_a_restart(self, act, flink, running, action):
        with pytest.raises(AirflowFailException, match=rf"state_path \(file:///x\) is for .*restart, not for {action}"):
            act(action, "file:///x")
        assert flink.posted == []

    def test_a_savepoint_leaves_the_job_running(self, act, flink, running, savepoint):
        done = act(Action.SAVEPOINT)
        assert (done.action, done.savepoint, flink.live()) == ("savepoint", savepoint, [A])

    def test_no_savepoint_of_a_job_that_is_not_there(self, act, flink):
        with pytest.raises(AirflowFailException, match="does not run: there is nothing to take a savepoint of"):
            act(Action.SAVEPOINT)

    def test_a_restart_goes_on_from_a_savepoint(self, act, flink, running, savepoint):
        done = act(Action.RESTART)
        assert (done.action, done.restored_from) == ("restarted", savepoint)
        assert flink.live() == [done.job_id] != [A]

    def test_a_restart_from_a_path(self, act, flink, running):
        done = act(Action.RESTART, running)
        assert (done.restored_from, flink.runs[done.job_id]["restored"]) == (running, running)

    def test_a_path_that_is_too_old_leaves_the_job_running(self, act, flink, running, state):
        old = state(f"checkpoints/trips.bronze/{A}/chk-6", 6)
        with pytest.raises(AirflowFailException, match="it would write rows again"):
            act(Action.RESTART, old)
        assert (flink.live(), flink.posted) == ([A], [])

    def test_a_path_that_the_stop_makes_too_old_leaves_it_running_too(self, act, flink, running, commit, savepoint):
        take = flink.savepoint
        flink.savepoint = lambda: (commit(TABLE, A, 8), take())[1]
        with pytest.raises(AirflowFailException, match="it would write rows again"):
            act(Action.RESTART, running)
        assert flink.runs[flink.live()[0]]["restored"] == savepoint

    def test_only_a_job_over_kafka_knows_its_last_row(self, act, flink, running):
        with pytest.raises(AirflowFailException, match=r"do not say how far in its source they are: .*DAG replay"):
            act(Action.START_AFTER_LAST_ROW)

    def test_only_a_job_that_is_not_there_starts_from_its_tables(self, act, flink, running, job):
        with pytest.raises(AirflowFailException, match=rf"\({A}\) is RUNNING: only a job that is not there"):
            act(Action.START_AFTER_LAST_ROW, wanted=replace(job, topic_tables={"trip_events": TABLE}))
        assert flink.live() == [A]


class TestAfterTheLastRow:
    @pytest.fixture
    def lost(self, job, commit, send, monkeypatch) -> FlinkJob:
        """The job is gone with its state; its table holds rows of partition 0 up to offset 4."""
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

    def test_and_its_first_states_fit(self, act, flink, lost, state, fill):
        """Its checkpoints count from 1, below what the tables were committed up to before."""
        started = act(Action.START_AFTER_LAST_ROW, wanted=lost)
        flink.runs.clear()
        checkpoint = state(f"checkpoints/trips.bronze/{started.job_id}/chk-1", 1)
        assert act(wanted=lost).restored_from == checkpoint


class TestEventsThatKafkaDeleted:
    """Flink would go on at the first event that Kafka still holds, and nobody would know before it has."""

    @pytest.fixture
    def gone(self, job, flink, taxi, send, fill, state, remembered, monkeypatch) -> FlinkJob:
        """The job is gone. It wrote the offsets 0 to 3 of partition 0, and Kafka, which had ten events, begins at 7 by now."""
        send(taxi.topic.name, 10)
        fill(TABLE, range(4))
        declared = flink_job(taxi, taxi.stages["bronze"])
        declared.look()
        self.begins(monkeypatch, 7)
        remembered(JobRecord(last_stable=Version.of(job), starts=(began(A),)))
        state(f"checkpoints/trips.bronze/{A}/chk-7", 7)
        return replace(job, topic_tables={"trip_events": TABLE}, look=declared.look)

    def begins(self, monkeypatch, first: int) -> None:
        monkeypatch.setattr(TopicHook, "start_offsets", lambda hook: {**dict.fromkeys(hook.end_offsets(), 0), 0: first})

    @pytest.mark.parametrize("action", [Action.RECONCILE, Action.RESUME, Action.RESTART, Action.START_AFTER_LAST_ROW])
    def test_a_start_is_refused_until_somebody_takes_them_for_lost(self, act, flink, gone, run, action):
        refused = (
            r"trips\.bronze is not started: Kafka topic trips no longer holds 3 events that are in none of bronze\.raw_trips, "
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

    def test_what_the_tables_hold_is_not_lost(self, act, gone, monkeypatch):
        self.begins(monkeypatch, 4)
        assert act(wanted=gone).action == "restored"

    def test_nor_would_it_be_by_the_start_when_rows_before_the_last_one_are_gone(self, act, gone, iceberg, monkeypatch):
        """Somebody deleted them: `rows-missing` says so, and the job goes on behind them."""
        iceberg.load_table(TABLE).delete("kafka_offset < 2")
        self.begins(monkeypatch, 4)
        assert len(gone.look().deleted_unread) == 2
        assert act(wanted=gone).action == "restored"

    def test_a_job_that_runs_is_upgraded_all_the_same(self, act, flink, gone, changed, savepoint, state, monkeypatch):
        """It reads on: what it was too slow for is lost already, and no commit of it is waited for."""
        self.begins(monkeypatch, 10)
        flink.runs_as(gone, A)
        flink.savepoint = lambda: state("savepoints/trips.bronze/savepoint-aaaaaa-1", 8)
        assert act(wanted=replace(gone, script=changed.script)).restored_from == savepoint

    def test_that_nobody_can_look_holds_no_job_back(self, act, gone, caplog):
        def look() -> None:
            raise ServiceUnavailable("Kafka does not answer")

        assert act(wanted=replace(gone, look=look)).action == "restored"
        assert "started without a look at Kafka's first offsets: Kafka does not answer" in caplog.text


class TestJobIds:
    """Flink refuses a second submission of an id, and an id that has committed must not start over without state."""

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

    def test_any_other_has_another(self, ids, flink, changed, job, commit, iceberg, fill):
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

    def test_a_submission_that_flink_has_already_is_no_error(self, act, flink, ids, job):
        flink.runs_as(job, ids(), "RUNNING")
        deployer = JobDeployer(job, "trips")
        flink.refused["EXECUTE"] = "DuplicateJobSubmissionException"
        deployer.cluster.submit(job, flink.live()[0], None, {})
        with pytest.raises(FlinkError, match="DuplicateJobSubmissionException"):
            deployer.cluster.submit(job, A, None, {})


class TestRepair:
    """What is done when something that a deployment needs has failed."""

    @pytest.fixture
    def repair(self, changed, flink) -> Callable[[], Deployment]:
        """While other SQL is declared than what ran."""
        return lambda: JobDeployer(changed, "trips").repair()

    def test_a_job_that_runs_is_left_alone_though_other_sql_is_declared(self, repair, running, flink):
        assert repair().action == "left alone"
        assert flink.posted == []

    def test_a_job_that_is_gone_comes_back_as_it_last_ran(self, repair, running, flink, job):
        flink.runs.clear()
        done = repair()
        assert (done.action, done.restored_from, done.fingerprint) == ("restored", running, job.fingerprint)
        assert flink.live() == [done.job_id]

    def test_one_that_is_suspended_stays_so(self, repair, running, flink, remembered):
        flink.runs.clear()
        remembered(remembered().changed(suspended=True))
        assert repair().action == "suspended"
        assert flink.live() == []

    def test_one_that_never_ran_is_not_started(self, repair, fill, flink):
        fill(TABLE, 0)
        with pytest.raises(AirflowException, match=r"trips\.bronze is not started for the first time.* Next: "):
            repair()
        assert flink.live() == []


class TestOptions:
    """With some options Flink would not find the state of a job again; the job goes on without them."""

    @pytest.fixture
    def refused(self, act, job, flink):
        """Have options refused, while the job runs as it did; return what is said."""

        def refused(options: dict[str, str], action: Action = Action.RECONCILE) -> str:
            with pytest.raises(AirflowFailException) as error:
                act(action, wanted=replace(job, options=options))
            assert (flink.live(), flink.posted) == ([A], [])
            return str(error.value)

        return refused

    def test_other_parallelism_of_a_job_with_ids_that_depend_on_it(self, refused, running):
        said = refused({"parallelism.default": "2"})
        assert "trips.bronze keeps parallelism.default = 1: with 2, " in said
        assert "DAG replay" in said
        assert refused({"parallelism.default": "2"}, Action.RESTART) == said

    def test_other_chaining(self, refused, running):
        assert "pipeline.operator-chaining.enabled" in refused({"pipeline.operator-chaining.enabled": "false"})

    def test_more_parallelism_than_slots(self, refused, running):
        assert "5 times in parallel" in (said := refused({"parallelism.default": "5"}))
        assert "has 4 task slots" in said

    def test_other_parallelism_of_a_job_with_stable_ids(self, act, flink, running, job, remembered):
        stable = replace(job, options=operator_ids.STABLE)
        flink.runs_as(stable, A)
        remembered(JobRecord(last_stable=Version.of(stable), starts=(began(A),)))
        assert act(wanted=replace(job, options=operator_ids.STABLE | {"parallelism.default": "4"})).action == "upgraded"

    def test_a_job_that_is_gone_comes_back_without_them(self, act, flink, running, job):
        flink.runs.clear()
        with pytest.raises(AirflowFailException, match="runs as before"):
            act(wanted=replace(job, options={"pipeline.max-parallelism": "8"}))
        assert [flink.runs[run]["restored"] for run in flink.live()] == [running]
