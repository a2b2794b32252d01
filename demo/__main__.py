"""`make demo` and `make bench`: start the platform, send taxi trips through it, and show what came of them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from demo.bench import Bench
from demo.run import demo
from local import config
from local.progress import exit_status
from local.verbs import down


def main() -> int:
    """Run the demo, or the measurements; 1 with the reason when something is not as it should be."""
    arguments = _parser().parse_args()
    if arguments.verb == "bench":
        return exit_status(bench)
    return exit_status(lambda: demo(arguments.events, arguments.seed, arguments.source))


def bench() -> None:
    """Measure on a platform of its own, which starts empty and is down at the end."""
    platform = config.create()
    try:
        Bench(platform).run()
    finally:
        down()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("verb", nargs="?", choices=("demo", "bench"), default="demo")
    parser.add_argument("--events", type=int, help="how many trips (default: 10,000, or the whole source)")
    parser.add_argument("--seed", type=int, help="of synthetic trips (default: the next unused one)")
    parser.add_argument("--source", type=Path, help="a TLC file instead of synthetic trips")
    return parser


if __name__ == "__main__":
    sys.exit(main())
