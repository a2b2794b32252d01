"""Bringing the platform up: every part in its order, with progress, a limit, and a reason when it fails."""

import threading
import xmlrpc.client
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

from local.config import Platform, PlatformError
from local.parts import Part
from local.progress import Progress
from local.supervision import Supervisor

LIMIT_S = 180
CRASH_LIMIT = 3
PROBE_EVERY_S = 0.2
LOG_LINES = 25


class Start:
    """One run of `up`."""

    def __init__(self, platform: Platform, supervisor: Supervisor, parts: list[Part]) -> None:
        self.platform = platform
        self.supervisor = supervisor
        self.parts = parts
        self.progress = Progress()
        self.healthy = {part.name: threading.Event() for part in parts}
        self.waits_for = {part.name: "its turn" for part in parts}
        self.failed = threading.Event()

    def run(self) -> None:
        """Bring up every part at once, each as soon as what it needs is healthy."""
        with ThreadPoolExecutor(len(self.parts)) as pool:
            pending = {pool.submit(self._bring_up, part): part for part in self.parts}
            while pending:
                done, _ = wait(pending, timeout=1, return_when=FIRST_COMPLETED)
                for future in done:
                    part = pending.pop(future)
                    if future.exception():
                        self.failed.set()
                        self.progress.clear()
                        raise future.exception()
                    self.progress.done(f"{part.name} is healthy")
                names = (f"{part.name} ({self.waits_for[part.name]})" for part in pending.values())
                self.progress.waiting("waiting for " + "; ".join(names))
        self.progress.clear()

    def _bring_up(self, part: Part) -> None:
        for need in part.needs:
            self.waits_for[part.name] = f"waits for {need}"
            self._until(part, self.healthy[need].is_set)
        fresh = self.supervisor.info()[part.name]["statename"] not in ("RUNNING", "STARTING")
        if fresh:
            self.waits_for[part.name] = "prepares"
            part.prepare()
            self.supervisor.call("startProcess", part.name, False)
        starts: set[int] = set()
        self._until(part, lambda: self._content(part, starts))
        if fresh:
            part.complete()
        self.healthy[part.name].set()

    def _content(self, part: Part, starts: set[int]) -> bool:
        """Whether the part is healthy now; a part that cannot become so is an error."""
        info = self.supervisor.info()[part.name]
        starts.add(info["start"])
        if info["statename"] == "FATAL" or len(starts) > CRASH_LIMIT:
            raise self._failure(part, info["spawnerr"] or "it stops again and again")
        problem = part.probe() if info["statename"] in ("RUNNING", "STARTING") else info["description"]
        self.waits_for[part.name] = problem or "healthy"
        return problem is None

    def _until(self, part: Part, condition: object) -> None:
        while not condition():
            if self.failed.wait(PROBE_EVERY_S):
                raise PlatformError("another part failed")
            if self.progress.seconds > LIMIT_S:
                raise self._failure(part, f"not healthy after {LIMIT_S} s: {self.waits_for[part.name]}")

    def _failure(self, part: Part, reason: str) -> PlatformError:
        log = self.platform.logs / f"{part.name}.log"
        lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:] if log.is_file() else []
        tail = "\n".join(f"    {line}" for line in lines)
        return PlatformError(f"{part.name} does not come up: {reason}\n  last lines of {log}:\n{tail}")


def start(platform: Platform, supervisor: Supervisor, parts: list[Part]) -> None:
    """Bring the platform up, or say which part does not come and why."""
    try:
        Start(platform, supervisor, parts).run()
    except (xmlrpc.client.Error, OSError) as error:
        raise PlatformError(f"the supervisor does not answer ({error}): see {platform.logs}/supervisord.log") from error
