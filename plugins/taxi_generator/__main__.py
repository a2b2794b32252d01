"""`python -m taxi_generator`: send trips to Kafka.

Exit status: 0 if all requested events were delivered (for an endless stream: all until it was stopped), 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from . import MODES, DeliveryFailed, GeneratorError, environment, pipeline, run
from .runner import EVENTS, SEED

STDOUT = Path("-")


def _parser() -> argparse.ArgumentParser:
    name = "python -m taxi_generator"
    parser = argparse.ArgumentParser(prog=name, description="Send taxi trips to Kafka.")
    add = parser.add_argument
    _add_from_environment(add, "--bootstrap", environment.SERVERS, "Kafka's bootstrap servers")
    _add_from_environment(add, "--registry", environment.REGISTRY, "Confluent-compatible schema registry, or none")
    add("--topic", help="default: that of the pipeline nyc_taxi")
    add(
        "--config",
        type=Path,
        metavar="FILE",
        help=f"JSON with additional settings of librdkafka; the environment has {', '.join(environment.KAFKA)}",
    )
    add("--events", type=int, metavar="N", help=f"default {EVENTS}, or the whole file; 0: endless")
    add("--mode", choices=MODES, default="burst")
    add("--rate", type=float, metavar="R", help="events per second in the modes batch and realtime")
    add(
        "--seed",
        type=_seed,
        default=SEED,
        help=f"seed of synthetic trips, default {SEED}; new: a different one each time",
    )
    add("--source", metavar="FILE", help="a TLC yellow-taxi file, Parquet or CSV, instead of synthetic trips")
    add(
        "--pickup-from", type=datetime.fromisoformat, help="start of Silver's window; default: the pipeline's parameter"
    )
    add("--pickup-to", type=datetime.fromisoformat, help="end of Silver's window; likewise")
    add("--summary", type=Path, metavar="FILE", help="write the summary as JSON; -: as a line to stdout")
    add("--keys", type=Path, metavar="FILE", help="write the valid trips' ids, dates and hours as Parquet")
    return parser


def _seed(text: str) -> int:
    return int(time.time()) if text == "new" else int(text)


def _add_from_environment(add: Callable[..., Any], flag: str, variable: str, description: str) -> None:
    value = os.environ.get(variable)
    add(flag, required=not value, default=value, metavar=variable, help=f"{description}; default ${variable}")


def _on_signals(stop: threading.Event) -> None:
    def handle(number: int, _frame: object) -> None:
        stop.set()
        # Without Python's buffer, because print raises if the signal interrupts another print.
        os.write(sys.stderr.fileno(), f"{signal.Signals(number).name}: finishing events in flight\n".encode())
        signal.signal(number, signal.SIG_DFL)  # a second signal ends the process immediately

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


def _print(summary: dict[str, Any]) -> None:
    counts = f"{summary['delivered']:,} events delivered to {summary['topic']}, {summary['failed']:,} failed"
    print(f"{counts}, in {summary['elapsed_s']:.1f} s: {summary['rate']:,.0f} events/s ({summary['mode']})")
    for name in ("missing_columns", "extra_columns"):
        if summary[name]:
            print(f"{name.replace('_', ' ')}: {', '.join(summary[name])}")
    for name, values in summary["unknown_codes"].items():
        print(f"{name} was sent as null where the file has {', '.join(values)}: there is no code for it")
    if expected := summary["expected"]:
        print("expected: " + ", ".join(f"{name} {rows:,}" for name, rows in expected.items() if isinstance(rows, int)))
        for reason, rows in expected["reasons"].items():
            print(f"rejected: {rows:,} because {reason}{_setting(reason, expected['window'])}")


def _setting(reason: str, window: list[str]) -> str:
    """The setting behind a reason, if there is one."""
    if reason != pipeline.OUTSIDE:
        return ""
    first, after = window
    return f" from {first} until {after}, which the parameters {' and '.join(pipeline.EDGES)} set (docs/pipelines.md)"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    options = _parser().parse_args(arguments)
    stop = threading.Event()
    _on_signals(stop)
    try:
        more = json.loads(options.config.read_text()) if options.config else {}
        summary = run(
            {**environment.kafka_of(os.environ), **more, "bootstrap.servers": options.bootstrap},
            registry=None if options.registry == "none" else options.registry,
            registry_ca_file=os.environ.get(environment.CA_FILE),
            topic=options.topic,
            events=options.events,
            mode=options.mode,
            rate=options.rate,
            seed=options.seed,
            source=options.source,
            pickup_from=options.pickup_from,
            pickup_to=options.pickup_to,
            keys=options.keys,
            stopped=stop.is_set,
            log=lambda line: print(line, file=sys.stderr),
        )
    except DeliveryFailed as error:
        print(error, file=sys.stderr)
        summary = error.summary
    except (GeneratorError, OSError, json.JSONDecodeError) as error:
        print(error, file=sys.stderr)
        return 1
    if options.summary == STDOUT:
        print(json.dumps(summary))
    elif options.summary:
        options.summary.write_text(json.dumps(summary, indent=2) + "\n")
    _print(summary)
    if summary["requested"] and summary["events"] < summary["requested"]:
        why = "the file has no more" if summary["complete"] else "the run was stopped"
        print(f"{summary['events']:,} of {summary['requested']:,} events: {why}.", file=sys.stderr)
    return 0 if summary["complete"] else 1


if __name__ == "__main__":
    sys.exit(main())
