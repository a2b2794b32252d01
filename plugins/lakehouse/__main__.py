"""`python -m lakehouse COMMAND`; see `lakehouse.cli`."""

from __future__ import annotations

from lakehouse.cli import main

if __name__ == "__main__":
    main()
