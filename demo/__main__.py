"""`make demo` and `make bench`: start the platform, send taxi trips through it, and show the result."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from demo.bench import Bench
from demo.run import demo
from demo.window import shown
from local import config, proxies
from local.commands import down
from local.progress import exit_status

DIGITS = 18  # so that any number fits into 64 bits


def main() -> int:
    """Run the demo, or the measurements; return 1 after an error, which is printed."""
    proxies.pass_by()
    arguments = vars(_parser().parse_args())
    if arguments.pop("verb") == "bench":
        return exit_status(bench)
    return exit_status(lambda: demo(**arguments))


def bench() -> None:
    """Measure on a separate, new platform, which is stopped at the end."""
    platform = config.create()
    try:
        Bench(platform).run()
    finally:
        down()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m demo", description=__doc__)
    parser.add_argument("verb", nargs="?", choices=("demo", "bench"), default="demo")
    parser.add_argument("--events", type=_events, help="how many trips (default: 10,000, or the whole source)")
    parser.add_argument("--seed", type=_seed, help="of synthetic trips (default: the next unused one)")
    parser.add_argument("--source", type=Path, help="a TLC file instead of synthetic trips")
    parser.add_argument(
        "--pickup-from",
        help="first pickup time that Silver accepts from now on; auto: the calendar months of the trips",
    )
    parser.add_argument("--pickup-to", help="first pickup time after those")
    return parser


def _events(text: str) -> int:
    return _whole(text, 1)


def _seed(text: str) -> int:
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > DIGITS or int(text) < least:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a whole number of at least {least}")
    return int(text)


class _Parser(argparse.ArgumentParser):
    """A parser that reports errors in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}. Next: make demo SOURCE=file EVENTS=n SEED=n PICKUP_FROM=time PICKUP_TO=time\n")


if __name__ == "__main__":
    sys.exit(main())
