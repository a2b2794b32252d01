"""Backup and restore of the platform on containers: `make compose-backup`, `make compose-restore FROM=backups/<time>`."""

import argparse
import signal
import sys
import time
from pathlib import Path

from compose.backup.create import create
from compose.backup.docker import Compose
from compose.backup.restore import restore
from local.config import ROOT, PlatformError

FOLDER = ROOT / "backups"


def main() -> int:
    """Run the command; return 1 after an error."""
    parser = argparse.ArgumentParser(prog="python -m compose.backup", description=__doc__)
    parser.add_argument("verb", choices=["create", "restore"])
    parser.add_argument("--file", action="append", default=[], help="option of docker compose")
    parser.add_argument("--backup", help="for restore: the folder of a backup")
    arguments = parser.parse_args()
    # So that clean-up code runs, and the quiesced platform continues.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    compose, began = Compose(*(f"--file={file}" for file in arguments.file)), time.monotonic()
    try:
        if arguments.verb == "create":
            backup = create(compose, FOLDER)
            size = sum(file.stat().st_size for file in backup.iterdir())
            print(f"Backup {backup.relative_to(ROOT)}: {size / 1e6:,.1f} MB, {time.monotonic() - began:.0f} s.")
            print("It contains all secrets of the platform (.env): protect it accordingly.")
            compose.await_health("kafka")
        else:
            if not arguments.backup:
                raise PlatformError("Which backup? Next: make compose-restore FROM=backups/<time> (ls backups).")
            restore(compose, Path(arguments.backup))
            print(f"Restored and healthy after {time.monotonic() - began:.0f} s; the jobs start by themselves.")
    except (PlatformError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
