"""All faults: names, actions, and what the suite itself must undo."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from chaos import events, upkeep
from chaos.disk import filled, is_own_filesystem
from chaos.engine import Fault
from chaos.proxy import CommitTrap
from chaos.stage import Stage
from demo.main_job import GOLD_DAG, JOBS_DAG, PIPELINE
from lakehouse.airflow.hooks.flink import FlinkRestHook
from lakehouse.streaming.cluster import STABLE_LIMIT_S

HANG_S = 20  # longer than timeouts of a few seconds, shorter than the failure detection of a cluster
COMMIT_LIMIT_S = 60
ALL_PARTS = ("kafka", "flink-jobmanager", "flink-taskmanager", "flink-sql-gateway", "registry", "postgres",
             "airflow-scheduler", "airflow-triggerer", "airflow-dag-processor", "airflow-api-server")  # fmt: skip
REPLAY_DAG = "replay"
BRONZE, DEPLOY_BRONZE = f"{PIPELINE}.bronze", f"{PIPELINE}.deploy_bronze"
MANUAL = "a job whose state is gone is refused on purpose: a person decides how to continue (`flink_jobs` by hand)"
# Both have the same plan; the broken one fails with the first row.
GOOD_SQL = "CURRENT_TIMESTAMP, kafka_partition,"
BROKEN_SQL = "CURRENT_TIMESTAMP, kafka_partition + 1 / (kafka_partition - kafka_partition),"
Strike = Callable[[Stage], AbstractContextManager]


def once(action: Callable[[Stage], object]) -> Strike:
    """A momentary fault; nothing needs to be undone."""

    def strike(stage: Stage) -> AbstractContextManager:
        action(stage)
        return nullcontext()

    return strike


def killed(name: str) -> Fault:
    what = "the process is killed"
    return Fault(f"kill -9 {name}", what, once(lambda stage: stage.kill(name)), combines=True)


def hung(name: str) -> Fault:
    what = f"the process hangs for {HANG_S} s (SIGSTOP, SIGCONT)"
    return Fault(f"SIGSTOP {name}", what, lambda stage: stage.stopped(name), HANG_S, combines=True)


def power_loss(stage: Stage) -> None:
    stage.kill_everything()
    stage.checkout.command("up")


# During operations ------------------------------------------------------------------------------------


def killed_at_commit(stage: Stage) -> None:
    """The writer is killed between the UPDATE and its response."""
    trap = stage.proxy.trap = CommitTrap(on_commit=lambda: stage.kill("flink-taskmanager"))
    _await_sprung(stage, trap)


def commit_answer_lost(stage: Stage) -> None:
    trap = stage.proxy.trap = CommitTrap(lose_answer=True)
    _await_sprung(stage, trap)


def _await_sprung(stage: Stage, trap: CommitTrap) -> None:
    if not trap.sprung.wait(COMMIT_LIMIT_S):
        stage.proxy.trap = None
        raise TimeoutError(f"no commit went through the proxy within {COMMIT_LIMIT_S} s")


def killed_during_savepoint(stage: Stage) -> None:
    job = stage.flink.live_run(BRONZE).job_id
    stage.upgrade()
    stage.await_flink(
        "a savepoint of bronze",
        lambda: any(checkpoint["is_savepoint"] for checkpoint in stage.flink.checkpoints(job)["history"]),
    )
    stage.kill("flink-taskmanager")


def killed_during_upgrade(*names: str) -> Callable[[Stage], None]:
    """Kill services between the end of the old job and the start of the new one."""

    def strike(stage: Stage) -> None:
        stage.upgrade()
        stage.await_flink("the end of bronze", lambda: stage.flink.live_run(BRONZE) is None)
        stage.kill(*names)

    return strike


def task_killed(dag_id: str, task_id: str, *command: str, **conf: object) -> Callable[[Stage], None]:
    """Kill the process of a task: Airflow's, or the one with this command line."""

    def strike(stage: Stage) -> None:
        stage.at_rest(dag_id)
        run = stage.job.api.trigger(dag_id, conf)
        instance = stage.await_task(dag_id, run, task_id)
        stage.kill_processes(*(command or [f"airflow worker -- {instance}"]))

    return strike


def two_deploys(stage: Stage) -> None:
    """Two deployments restore the same missing job at the same time."""
    stage.at_rest(JOBS_DAG)
    flink = FlinkRestHook()
    flink.call("PATCH", f"jobs/{flink.live_run(BRONZE).job_id}?mode=cancel")
    stage.await_flink("the end of bronze", lambda: flink.live_run(BRONZE) is None)
    stage.job.api.trigger(JOBS_DAG, {})
    run = stage.checkout.shell(stage.platform, "airflow", "tasks", "test", JOBS_DAG, DEPLOY_BRONZE)
    if run.returncode:
        raise RuntimeError(f"the manual deployment failed: {run.stderr[-2000:]}")


@contextmanager
def broken_sql(stage: Stage) -> Iterator[None]:
    """An upgrade to SQL that can be planned and started, but fails at its first row: the old SQL must be restored."""
    file = stage.checkout.folder / "include" / "sql" / "05-bronze.sql"
    good = file.read_text()
    file.write_text(good.replace(GOOD_SQL, BROKEN_SQL, 1))
    try:
        run = stage.deploy()
        stage.await_flink("the end of bronze", lambda: stage.flink.live_run(BRONZE) is None)
        stage.mark()
        stage.at_rest(JOBS_DAG)
        state = stage.job.api.tasks(JOBS_DAG, run)[DEPLOY_BRONZE]["state"]
        if state != "failed":
            raise RuntimeError(f"{DEPLOY_BRONZE} is {state}, although its SQL cannot work")
        yield
    finally:
        file.write_text(good)


# Catalog ---------------------------------------------------------------------------------------------------------


@contextmanager
def catalog_cut(stage: Stage) -> Iterator[None]:
    stage.proxy.cut()
    try:
        yield
    finally:
        stage.proxy.join()


@contextmanager
def catalog_slow(stage: Stage) -> Iterator[None]:
    stage.proxy.delay_s = 0.3
    try:
        yield
    finally:
        stage.proxy.delay_s = 0


@contextmanager
def catalog_refuses(stage: Stage) -> Iterator[None]:
    stage.proxy.refuse()
    try:
        yield
    finally:
        stage.proxy.accept()


# Files -----------------------------------------------------------------------------------------------------------


@contextmanager
def blocked(folder: Path) -> Iterator[None]:
    """Nobody can write below the folder, not even root, because a file is in its place."""
    away = folder.with_name(f"{folder.name}.away")
    folder.rename(away)
    folder.touch()
    try:
        yield
    finally:
        folder.unlink()
        away.rename(folder)


def full(name: str) -> Fault:
    """A disk of the platform that is full for some time."""

    def impossible(stage: Stage) -> str | None:
        folder = stage.folder(name)
        return None if is_own_filesystem(folder) else f"{folder} is not a separate file system: mounting needs root"

    what = f"the disk under {name}/ is full for {HANG_S} s"
    return Fault(f"disk full: {name}", what, lambda stage: filled(stage.folder(name)), HANG_S, impossible)


@contextmanager
def postgres_without_its_files(stage: Stage) -> Iterator[None]:
    """PostgreSQL fails whenever it is started, until its files are restored."""
    with blocked(stage.folder("postgres")):
        stage.kill("postgres")
        yield


@contextmanager
def checkpoints_deleted(stage: Stage) -> Iterator[None]:
    """The jobs keep running; only a savepoint makes their state complete again, because checkpoints are incremental."""
    shutil.rmtree(stage.folder("flink/checkpoints"))
    yield
    stage.upgrade()
    stage.at_rest(JOBS_DAG)


@contextmanager
def checkpoints_deleted_then_killed(stage: Stage) -> Iterator[None]:
    shutil.rmtree(stage.folder("flink/checkpoints"))
    stage.kill("flink-taskmanager")
    yield


# Producers -------------------------------------------------------------------------------------------------------


CATALOGUE = [
    Fault("nothing", "the baseline: how long new rows take to reach Silver", once(lambda stage: None)),
    *(killed(name) for name in ALL_PARTS),
    *(hung(name) for name in ALL_PARTS),
    Fault("power loss", "kill -9 of all processes at once, the supervisor included; then `make up`", once(power_loss), goal_s=90),
    Fault("commit answer lost", "the catalog commits, but the connection breaks before its answer", once(commit_answer_lost)),
    Fault("kill -9 flink-taskmanager at commit", "the writer dies while its commit is being applied", once(killed_at_commit)),
    Fault("kill -9 flink-taskmanager at savepoint", "an upgrade loses its TaskManager during the savepoint",
          once(killed_during_savepoint)),
    Fault("kill -9 flink-jobmanager in upgrade", "the old job has ended, the new one is not submitted yet",
          once(killed_during_upgrade("flink-jobmanager"))),
    Fault("kill -9 flink-sql-gateway in upgrade", "the same moment, without the gateway",
          once(killed_during_upgrade("flink-sql-gateway"))),
    Fault("kill -9 of a deploy task", "the process of `deploy_bronze`", once(task_killed(JOBS_DAG, DEPLOY_BRONZE))),
    Fault("kill -9 of dbt", "while it builds Gold", once(task_killed(GOLD_DAG, "gold.dbt_build", "dbt", "build"))),
    Fault("kill -9 of publish", "the process of `publish`", once(task_killed(GOLD_DAG, "publish"))),
    Fault("kill -9 of replay at rebuild", "the process of `rebuild`",
          once(task_killed(REPLAY_DAG, "rebuild", dry_run=False))),
    Fault("kill -9 of replay at switch", "the process of `switch`",
          once(task_killed(REPLAY_DAG, "switch", dry_run=False))),
    *(Fault(f"kill -9 {name} in rewrite", "while files of a table are rewritten", once(upkeep.killed_during_rewrite(name)))
      for name in ("flink-taskmanager", "flink-sql-gateway", "postgres")),
    *(Fault(f"kill -9 of {operation}", "the process of this task of `iceberg_maintenance`",
            once(task_killed(upkeep.DAG, f"maintain.{operation}", **upkeep.requested(operation, tables=[upkeep.TABLE]))))
      for operation in upkeep.OPERATIONS),
    Fault("maintenance without pause", f"all operations on all tables, without a break for {upkeep.WITHOUT_PAUSE_S} s",
          once(upkeep.without_pause)),
    Fault("catalog cut", f"nothing passes between platform and catalog for {HANG_S} s", catalog_cut, HANG_S, combines=True),
    Fault("catalog slow", "each packet takes 0.3 s", catalog_slow, HANG_S, combines=True),
    Fault("catalog refuses", f"connections are reset and refused for {HANG_S} s", catalog_refuses, HANG_S, combines=True),
    full("warehouse"),
    full("kafka"),
    Fault("warehouse blocked", f"no data file of Bronze can be written or read for {HANG_S} s",
          lambda stage: blocked(stage.folder("warehouse/bronze/raw_trips")), HANG_S),
    Fault("postgres without its files", f"it is killed and cannot start for {2 * HANG_S} s",
          postgres_without_its_files, 2 * HANG_S),
    Fault("checkpoints blocked", f"no checkpoint can be written for {HANG_S} s",
          lambda stage: blocked(stage.folder("flink/checkpoints")), HANG_S),
    Fault("two deploys at once", "the DAG and a shell restore the same job at once", once(two_deploys)),
    Fault("upgrade to broken SQL", f"the new SQL has {STABLE_LIMIT_S} s for a checkpoint, then it is rolled back", broken_sql),
    Fault("clock backwards", "Kafka and pickup times of the events run backwards", once(events.backwards)),
    Fault("producer killed", "a producer dies in mid-batch, and the same trips are sent again", once(events.sent_again)),
    Fault("checkpoints deleted", f"all checkpoint files are gone; the jobs run for {HANG_S} s more", checkpoints_deleted, HANG_S),
    Fault("checkpoints deleted; kill -9 flink-taskmanager", "there is nothing to restore from",
          checkpoints_deleted_then_killed, pending=MANUAL),
]  # fmt: skip
