"""Starts the platform: all services in order, with progress, a time limit, and the reason for a failure."""

import threading
import xmlrpc.client
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from local.config import Platform, PlatformError
from local.progress import Progress
from local.services import Service
from local.supervision import Supervisor

LIMIT_S = 600  # enough for a busy laptop
CRASH_LIMIT = 3
PROBE_EVERY_S = 0.2
LOG_LINES = 25
ALIVE = ("RUNNING", "STARTING", "BACKOFF")  # handled by the supervisor


class Start:
    """One run of `up`."""

    def __init__(self, platform: Platform, supervisor: Supervisor, services: list[Service]) -> None:
        self.platform = platform
        self.supervisor = supervisor
        self.services = services
        self.progress = Progress()
        self.healthy = {service.name: threading.Event() for service in services}
        self.waits_for = {service.name: "its turn" for service in services}
        self.over = threading.Event()

    def run(self) -> None:
        """Start all services concurrently, each as soon as those that it needs are healthy."""
        with ThreadPoolExecutor(len(self.services)) as pool:
            try:
                self._watch({pool.submit(self._bring_up, service): service for service in self.services})
            finally:
                self.over.set()  # after a failure or interrupt, all threads stop waiting
                self.progress.clear()

    def _watch(self, pending: dict[Future[None], Service]) -> None:
        while pending:
            done, _ = wait(pending, timeout=1, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
                self.progress.done(f"{pending.pop(future).name} is healthy")
            names = (service.name for service in pending.values())
            self.progress.waiting(f"waiting for {', '.join(names)}")

    def _bring_up(self, service: Service) -> None:
        for need in service.needs:
            self.waits_for[service.name] = f"waits for {need}"
            self._until(self.healthy[need].is_set)  # an expired limit is reported for that service, not for this one
        if self.supervisor.info()[service.name]["statename"] not in ALIVE:
            self.waits_for[service.name] = "prepares"
            self._do(service, service.prepare)
            try:
                self.supervisor.call("startProcess", service.name, False)
            except xmlrpc.client.Fault as fault:
                raise self._failure(service, fault.faultString) from fault
        starts: set[int] = set()
        self._until(lambda: self._content(service, starts) or self._late(service))
        self._do(service, service.complete)
        self.healthy[service.name].set()

    def _do(self, service: Service, step: Callable[[], None]) -> None:
        """Run a step of a service's start, and report its errors for that service."""
        try:
            step()
        except PlatformError:
            raise
        except Exception as error:
            raise self._failure(service, str(error) or repr(error)) from error

    def _content(self, service: Service, starts: set[int]) -> bool:
        """Whether the service is healthy now; raises an error if it cannot become healthy."""
        info = self.supervisor.info()[service.name]
        starts.add(info["start"])
        if info["statename"] == "FATAL" or len(starts) > CRASH_LIMIT:
            raise self._failure(service, info["spawnerr"] or "it keeps stopping")
        problem = service.probe() if info["statename"] in ("RUNNING", "STARTING") else info["description"]
        self.waits_for[service.name] = problem or "healthy"
        return problem is None

    def _late(self, service: Service) -> bool:
        """Return False before the time limit, and raise an error after it."""
        if self.progress.seconds > LIMIT_S:
            raise self._failure(service, f"not healthy after {LIMIT_S} s: {self.waits_for[service.name]}")
        return False

    def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            if self.over.wait(PROBE_EVERY_S):
                raise PlatformError("another service failed")

    def _failure(self, service: Service, reason: str) -> PlatformError:
        log = self.platform.logs / f"{service.name}.log"
        lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:] if log.is_file() else []
        tail = "".join(f"\n    {line}" for line in lines)
        return PlatformError(f"{service.name} does not start: {reason}\n  last lines of {log}:{tail or ' (none)'}")


def start(platform: Platform, supervisor: Supervisor, services: list[Service]) -> None:
    """Start the platform, or report which service does not start and why."""
    if unknown := {service.name for service in services} - supervisor.info().keys():
        names = ", ".join(sorted(unknown))
        raise PlatformError(f"the running platform does not have {names} yet: make down, then make up")
    Start(platform, supervisor, services).run()
