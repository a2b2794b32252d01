"""The embedded platform: `python -m local up|down|env|status|logs|clean`."""

import argparse
import sys
from collections.abc import Callable

from local import commands, proxies
from local.progress import exit_status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    subparsers = parser.add_subparsers(required=True, metavar="command")

    def add(command: Callable[..., None]) -> argparse.ArgumentParser:
        added = subparsers.add_parser(command.__name__, help=command.__doc__)
        added.set_defaults(command=command)
        return added

    for command in (commands.up, commands.down, commands.env, commands.status):
        add(command)
    logs = add(commands.logs)
    logs.add_argument("service", nargs="?", help="one service (default: all)")
    logs.add_argument("-n", "--lines", type=int, default=20, help="number of lines per service")
    logs.add_argument("-f", "--follow", action="store_true", help="show new lines as they are written")
    clean = add(commands.clean)
    clean.add_argument("--yes", dest="agreed", action="store_true", help="do not ask")
    return parser


def main() -> int:
    """Run one command."""
    proxies.pass_by()
    arguments = vars(_parser().parse_args())
    command = arguments.pop("command")
    return exit_status(lambda: command(**arguments))


if __name__ == "__main__":
    sys.exit(main())
