"""`make chaos`: inject all faults into a separate platform, individually and then in random sequences, and check every row."""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from checkout import Checkout

from chaos.catalogue import CATALOGUE
from chaos.disk import small_disk
from chaos.engine import Engine, Fault, NotStruck
from chaos.load import RATE
from chaos.proxy import Proxy
from chaos.report import Report
from chaos.row_checks import RowCheck
from chaos.stage import Stage, tolerate_restarts
from demo import embedded
from lakehouse.quality.audit import run_audit
from local import config
from local.config import ROOT
from local.progress import Progress

PORT_BASE = os.environ.get("PORT_BASE", "29000")
DISKS = {"warehouse": "6g", "kafka": "6g"}
SEQUENCES, SEQUENCE_LENGTH = 3, 3
CHECKPOINT_S = 4  # shorter than declared: more commits to interrupt, and less waiting


def main() -> int:
    """Run the suite; return 0 if the platform recovered from all faults by itself without damaged rows."""
    arguments = _arguments()
    deadline = time.monotonic() + arguments.minutes * 60
    missed = False
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM")
    )  # runs clean-up code: the platform is stopped
    report = Report(ROOT / ".local" / "chaos.json", CATALOGUE, arguments.seed, arguments.rate, CHECKPOINT_S)
    with stage_of_its_own() as stage:
        engine = Engine(stage, RowCheck(stage.job.topic), arguments.seed, arguments.rate)
        for name, faults in plan(arguments):
            if why := next((reason for fault in faults if (reason := fault.pending or fault.impossible(stage))), None):
                report.left_out[name] = why
            elif time.monotonic() > deadline:
                report.left_out[name] = f"the {arguments.minutes:g} minutes of the suite were over"
            else:
                try:
                    report.add(engine.run(name, faults))
                except NotStruck as error:
                    report.left_out[name] = str(error)
                    missed = True
        stage.job.build()
        report.audit = run_audit(stage.job.pipeline, at_rest=True, log=stage.job.progress.done)
    report.show()
    if not arguments.faults and arguments.sequences is None:
        report.write_page(ROOT / "docs" / "chaos.md")
    good = report.audit.clean and all(outcome.good for outcome in report.outcomes)
    return 0 if good and not missed else 1


def plan(arguments: argparse.Namespace) -> Iterator[tuple[str, list[Fault]]]:
    """Each chosen fault individually, then random sequences of those that can overlap with others.

    With `--faults` there are no sequences; with `--sequences` there are only these.
    """
    chosen = [f for f in CATALOGUE if not arguments.faults or any(word in f.name for word in arguments.faults)]
    if arguments.sequences is None:
        for fault in chosen:
            yield fault.name, [fault]
    dice = random.Random(arguments.seed)
    sequences = (0 if arguments.faults else SEQUENCES) if arguments.sequences is None else arguments.sequences
    for number in range(1, sequences + 1):
        faults = dice.sample([fault for fault in chosen if fault.combines], SEQUENCE_LENGTH)
        yield f"sequence {number}: {', '.join(fault.name for fault in faults)}", faults


@contextmanager
def stage_of_its_own() -> Iterator[Stage]:
    """A platform that uses catalog and locks through a proxy, with small disks if mounting is allowed; stopped at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lakehouse-chaos-")))
        folder.chmod(0o711)  # if run as root, PostgreSQL's user needs access
        checkout = Checkout(folder / "checkout", PORT_BASE=PORT_BASE)
        os.environ |= {"LAKEHOUSE_HOME": str(checkout.home), "PORT_BASE": PORT_BASE}
        platform = config.create()
        proxy = Proxy(platform.port("POSTGRES_PORT"))
        stack.callback(proxy.close)
        checkout.connect("iceberg_catalog", port=proxy.port)
        checkout.connect("coordination", port=proxy.port)
        checkout.change_variable("flink_job_options", **{"execution.checkpointing.interval": f"{CHECKPOINT_S} s"})
        thresholds = tolerate_restarts(checkout)
        for name, size in DISKS.items():
            stack.enter_context(small_disk(platform.home / name, size))
        stack.callback(checkout.command, "down")
        print(checkout.command("up"), flush=True)
        job = embedded.main_job(platform, Progress())
        os.environ["AIRFLOW_VAR_HEALTH_THRESHOLDS"] = thresholds
        job.deploy()
        yield Stage(platform, checkout, job, proxy)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument(
        "--faults",
        type=lambda text: text.split(","),
        help="parts of the names of faults, separated by commas (default: all)",
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the trips, and of the random sequences")
    parser.add_argument("--sequences", type=int, help="only run random sequences of three faults")
    parser.add_argument("--rate", type=int, default=RATE, help="events per second")
    parser.add_argument(
        "--minutes", type=float, default=40, help="time limit, after which no further fault is injected"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
