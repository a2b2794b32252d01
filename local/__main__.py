"""The embedded platform: `python -m local up|down|env|status|logs|clean`."""

import argparse
import sys
from collections.abc import Callable

from local import proxies, verbs
from local.progress import exit_status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="verb")

    def command(verb: Callable[..., None]) -> argparse.ArgumentParser:
        added = commands.add_parser(verb.__name__, help=verb.__doc__)
        added.set_defaults(verb=verb)
        return added

    for verb in (verbs.up, verbs.down, verbs.env, verbs.status):
        command(verb)
    logs = command(verbs.logs)
    logs.add_argument("service", nargs="?", help="one service (default: all)")
    logs.add_argument("-n", "--lines", type=int, default=20, help="number of lines per service")
    logs.add_argument("-f", "--follow", action="store_true", help="show new lines as they are written")
    clean = command(verbs.clean)
    clean.add_argument("--yes", dest="agreed", action="store_true", help="do not ask")
    return parser


def main() -> int:
    """Run one command."""
    proxies.pass_by()
    arguments = vars(_parser().parse_args())
    verb = arguments.pop("verb")
    return exit_status(lambda: verb(**arguments))


if __name__ == "__main__":
    sys.exit(main())
