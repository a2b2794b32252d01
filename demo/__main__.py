"""`make demo` and `make bench`: start the platform, send taxi trips through it, and show what came of them."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from demo.bench import Bench
from demo.run import demo
from local import config
from local.config import PlatformError
from local.verbs import down


def main() -> int:
    """Run the demo, or the measurements; 1 with the reason when something is not as it should be."""
    arguments = _parser().parse_args()
    try:
        if arguments.verb == "bench":
            bench()
        else:
            demo(arguments.events, arguments.seed, arguments.source)
    except (PlatformError, OSError, subprocess.SubprocessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; what was started continues (make status, make down)", file=sys.stderr)
        return 130
    return 0


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
