"""`python -m lakehouse COMMAND`; see `lakehouse.cli`."""

from __future__ import annotations

if __name__ == "__main__":
    try:
        from lakehouse.cli import main

        main()
    except KeyboardInterrupt:  # while it was being imported
        raise SystemExit(130) from None
