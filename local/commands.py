"""The commands of `python -m local`: up, down, env, status, logs, clean."""

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tabulate import tabulate

from local import airflow, config, flink, postgres, preflight, supervision
from local.config import START, Platform, PlatformError
from local.memory import resident_mb
from local.only_one import only_one
from local.services import Service, services
from local.start import start
from local.supervision import Supervisor

STOP_LIMIT_S = 120


def up() -> None:
    """Start what is not running, and wait until every service is healthy."""
    began = time.monotonic()
    with only_one(START):
        platform = config.declare()
        supervisor = Supervisor(platform)
        running = supervisor.running()
        if running:
            refuse_changes(platform)
        else:
            if problems := preflight.problems():
                raise PlatformError("this machine lacks something:\n  - " + "\n  - ".join(problems))
            if left_behind := supervision.members(platform):
                print(f"  ending {len(left_behind)} processes that an earlier supervisor left behind", flush=True)
                supervision.stop(left_behind, STOP_LIMIT_S)
            _refuse_taken_ports(platform)
        platform = config.create()
        everything = services(platform)
        if not running:
            print(f"Starting the platform in {platform.home}", flush=True)
            postgres.configure()
            flink.configure(platform)
            supervisor.launch(everything)
        start(platform, supervisor, everything)
    print(f"The platform is up ({time.monotonic() - began:.1f} s).\n{addresses(platform)}")


def _refuse_taken_ports(platform: Platform) -> None:
    if taken := supervision.ports_taken(platform.ports):
        advice = "Stop it, or choose other ports (NAME=port make up, or PORT_BASE=28000 make up)"
        raise PlatformError("a port is in use:\n  - " + "\n  - ".join(taken) + f"\n  {advice}")


def refuse_changes(wanted: Platform) -> None:
    """Check that a running platform has the same settings.

    :raises PlatformError: they differ
    """
    running = config.load().values
    if changed := [f"{name}={value}" for name, value in wanted.values.items() if running.get(name) != value]:
        raise PlatformError(f"the platform runs with settings other than {', '.join(changed)}: make down first")


def addresses(platform: Platform) -> str:
    """The addresses of the platform's pages."""
    return (
        f"  Airflow  http://127.0.0.1:{platform.port('AIRFLOW_PORT')}  (admin / {platform.values['AIRFLOW_ADMIN_PASSWORD']})\n"
        f"  Flink    http://127.0.0.1:{platform.port('FLINK_REST_PORT')}"
    )


def env() -> None:
    """Print the environment of Airflow, the DAGs and dbt, for a shell: eval "$(make -s env)"."""
    for name, value in (airflow.environment(config.load()) | _pipeline()).items():
        print(f"export {name}={shlex.quote(value)}")


def _pipeline() -> dict[str, str]:
    """The pipeline for dbt: the chosen one (PIPELINE=), or the only one."""
    declared = [file.stem for file in (config.ROOT / "include" / "pipelines").glob("*.yaml")]
    name = os.environ.get("PIPELINE") or (declared[0] if len(declared) == 1 else None)
    return {"LAKEHOUSE_PIPELINE": name} if name else {}


def down() -> None:
    """Stop every service in order, and make sure that no process is left."""
    platform = config.load()
    supervisor = Supervisor(platform)
    with only_one(START):
        left = []
        if supervisor.running():
            processes = supervision.family(supervisor.pid())
            print(f"Stopping the platform in {platform.home} ({len(processes)} processes)", flush=True)
            supervisor.call("shutdown")
            left = supervision.await_end(processes, STOP_LIMIT_S)
        supervision.stop([*{*left, *supervision.members(platform)}], STOP_LIMIT_S)
        supervision.stop(supervision.members(platform), STOP_LIMIT_S)  # processes started in the meantime
    print("The platform is down; its data is kept.")


def status() -> None:
    """Print a table of the services; raise an error if one of them is not healthy."""
    platform = config.load()
    supervisor = Supervisor(platform)
    everything = services(platform)
    infos = supervisor.info() if supervisor.running() else {}
    with ThreadPoolExecutor(len(everything)) as pool:
        rows = list(pool.map(lambda service: _row(platform, service, infos.get(service.name)), everything))
    broken = [row[0] for row in rows if row[1] != "healthy"]
    total = sum(int(row[4]) for row in rows if row[4] != "-")
    rows.append(("all", "", "", "", str(total), ""))
    headers = ("service", "state", "pid", "port", "rss MB", "log")
    print(tabulate(rows, headers, tablefmt="plain", disable_numparse=True))
    if broken:
        raise PlatformError(
            f"not healthy: {', '.join(broken)}. Start missing services: make up. See the logs: make logs"
        )


def logs(service: str | None = None, lines: int = 20, follow: bool = False) -> None:
    """Show the last lines of all logs, or of one; with `follow`, new lines too."""
    platform = config.load()
    there = sorted(file.stem for file in platform.logs.glob("*.log"))
    if service and service not in there:
        raise PlatformError(f"there is no log of {service!r} in {platform.logs} (existing logs: {', '.join(there)})")
    files = [str(platform.logs / f"{name}.log") for name in ([service] if service else there)]
    with contextlib.suppress(KeyboardInterrupt):  # ends `follow`
        subprocess.run(["tail", "-n", str(lines), *(["-F"] if follow else []), *files])


def clean(agreed: bool = False) -> None:
    """Delete the platform's state folder: all data, logs and secrets."""
    platform = config.load()
    with only_one(START):
        if Supervisor(platform).running() or supervision.members(platform):
            raise PlatformError(f"the platform in {platform.home} is running: make down first")
        _ask(platform, agreed)
        shutil.rmtree(platform.home)
    print(f"{platform.home} was deleted.")
    if platform.ports != config.PORTS:
        print(f"The next platform gets the default ports. To have these again: {_given(platform.ports)} make up")


def _given(ports: dict[str, int]) -> str:
    """The variables that set these ports of a platform."""
    base = min(ports.values())
    if [*ports.values()] == [*range(base, base + len(ports))]:
        return f"PORT_BASE={base}"
    return " ".join(f"{name}={port}" for name, port in ports.items() if port != config.PORTS[name])


def _ask(platform: Platform, agreed: bool) -> None:
    if not agreed:
        size_mb = sum(file.stat().st_size for file in platform.home.rglob("*") if file.is_file()) / 1e6
        question = (
            f"Delete {platform.home} ({size_mb:.0f} MB: Kafka's topics, tables, Airflow's history, secrets)? [y/N] "
        )
        if not sys.stdin.isatty() or input(question).strip().lower() not in ("y", "yes"):
            raise PlatformError("nothing was deleted (to delete without a question: YES=1)")


def _row(platform: Platform, service: Service, info: dict[str, Any] | None) -> tuple[str, ...]:
    pid = info["pid"] if info else 0
    state = (service.probe() or "healthy") if pid else (info["statename"].lower() if info else "stopped")
    memory = resident_mb(supervision.family(pid)) if pid else None
    log = platform.logs / f"{service.name}.log"
    return (service.name, state, str(pid) if pid else "-", str(platform.port(service.port)) if service.port else "-",
            "-" if memory is None else f"{memory:.0f}", str(log))  # fmt: skip
