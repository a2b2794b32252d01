"""The platform into which faults are injected: its processes, its catalog's network, its DAGs, and its health."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from checkout import Checkout

from chaos.proxy import Proxy
from demo.main_job import MainJob
from lakehouse.airflow.hooks.flink import FlinkError, FlinkRestHook
from lakehouse.quality.ledger import Ledger
from lakehouse.streaming.flow import flows_of
from lakehouse.streaming.health import health_of
from lakehouse.waiting import wait_until
from local import supervision
from local.config import Platform, PlatformError
from local.services import services
from local.supervision import Supervisor

SEEN_LIMIT_S = 120
TASK_LIMIT_S = 600


class Stage:
    """The target of the faults.

    :param job: the main job, with deployed Flink jobs
    :param proxy: between the platform and its catalog; checks do not use it
    """

    def __init__(self, platform: Platform, checkout: Checkout, job: MainJob, proxy: Proxy) -> None:
        self.platform = platform
        self.checkout = checkout
        self.job = job
        self.proxy = proxy
        self.supervisor = Supervisor(platform)
        self.services = {service.name: service for service in services(platform)}
        self.flink = FlinkRestHook()
        #: When the last fault was injected (`time.monotonic`): the rest of its `strike` is part of the recovery.
        self.struck_at: float | None = None
        self._upgrades = 0

    def mark(self) -> None:
        """Record that the fault is injected now."""
        self.struck_at = time.monotonic()

    def ledger(self) -> Ledger:
        """The current ledger.

        :raises PlatformError: a service does not respond; a hanging one would be awaited forever
        """
        for name in ("kafka", "postgres"):
            if problem := self.services[name].probe():
                raise PlatformError(f"{name}: {problem}")
        return self.job.ledger()

    def problem(self) -> str | None:
        """Why the platform is not healthy now, or None: a service, or a streaming job."""
        try:
            states = {name: info["statename"] for name, info in self.supervisor.info().items()}
            for name, service in self.services.items():
                problem = states[name] if states[name] != "RUNNING" else service.probe()
                if problem:
                    return f"{name}: {problem}"
            jobs = health_of(flows_of(self.job.pipeline))
            return "; ".join(reason for job in jobs for reason in job.reasons) or None
        except Exception as error:  # any error of a service that is going down
            return repr(error)

    def kill(self, *names: str) -> None:
        """Kill the services' processes with SIGKILL, as the kernel does when memory is short, but not their children."""
        for pid in [self._pid(name) for name in names]:
            psutil.Process(pid).kill()
        self.mark()

    def kill_everything(self) -> None:
        """Kill all processes, as in a power cut: the supervisor first, so that it does not restart others."""
        processes = [psutil.Process(self.supervisor.pid()), *supervision.members(self.platform)]
        for process in processes:
            if process.is_running():
                process.kill()
        self.mark()
        supervision.await_end(processes, SEEN_LIMIT_S)

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """Stop the service and its children by SIGSTOP."""
        processes = supervision.family(self._pid(name))
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                if process.is_running():
                    process.send_signal(signal.SIGCONT)

    def upgrade(self) -> str:
        """Change options of the streaming jobs, and trigger `flink_jobs`; return the id of its run."""
        self._upgrades += 1
        options = json.loads(self.job.api.variable("flink_job_options"))
        options |= {"execution.checkpointing.min-pause": f"{100 + self._upgrades} ms"}
        self.job.api.set_variable("flink_job_options", json.dumps(options))
        return self.deploy()

    def deploy(self) -> str:
        """Trigger `flink_jobs`, unless a run is already queued; return the id of the run."""
        self.at_rest("flink_jobs")
        return self.job.api.trigger("flink_jobs", {})

    def at_rest(self, dag_id: str) -> None:
        """Wait until no run of the DAG is active. Tasks that wait for a retry are retried immediately, which saves minutes."""

        def at_rest() -> bool:
            run = self.job.api.active_run(dag_id)
            tasks = self.job.api.tasks(dag_id, run) if run else {}
            if waiting := [name for name, task in tasks.items() if task["state"] == "up_for_retry"]:
                self.job.api.clear(dag_id, run, *waiting)
            return run is None

        self.job.wait(at_rest, f"{dag_id} to be idle", TASK_LIMIT_S)

    def await_task(self, dag_id: str, run_id: str, task_id: str) -> str:
        """Wait until a task of the run is running; return the id of its instance."""

        def running() -> str | None:
            task = self.job.api.tasks(dag_id, run_id)[task_id]
            if task["state"] in ("success", "failed", "skipped", "upstream_failed"):
                raise RuntimeError(f"{dag_id}.{task_id} of {run_id} is {task['state']}: it was not seen running")
            return task["id"] if task["state"] == "running" else None

        return wait_until(running, f"{dag_id}.{task_id} to run", TASK_LIMIT_S, longest_pause_s=0.2)

    def processes(self, *words: str) -> list[psutil.Process]:
        """Processes of the platform whose command lines contain all of these texts."""
        found = []
        for process in supervision.members(self.platform):
            try:
                command = " ".join(process.cmdline())
            except psutil.Error:
                continue
            if all(word in command for word in words):
                found.append(process)
        return found

    def kill_processes(self, *words: str) -> None:
        """Wait for processes with these texts in their command lines, and kill them."""
        for process in wait_until(lambda: self.processes(*words), f"a process with {words}", SEEN_LIMIT_S):
            process.kill()
        self.mark()

    def _pid(self, name: str) -> int:
        """The pid of a service, once it is running."""
        return wait_until(lambda: self.supervisor.info()[name]["pid"], f"a process of {name}", SEEN_LIMIT_S)

    def await_flink(self, what: str, seen: Callable[[], Any]) -> None:
        """Poll the JobManager until something is seen."""
        deadline = time.monotonic() + SEEN_LIMIT_S
        while time.monotonic() < deadline:
            try:
                if seen():
                    return
            except FlinkError:
                pass
            time.sleep(0.02)
        raise TimeoutError(f"{what} was not seen within {SEEN_LIMIT_S} s")

    def folder(self, name: str) -> Path:
        """A folder of the platform's state."""
        return self.platform.home / name


def tolerate_restarts(checkout: Checkout) -> str:
    """Raise the threshold of restarts, which the suite provokes. Returns the thresholds as JSON."""
    return checkout.change_variable("health_thresholds", restarts=1_000)
