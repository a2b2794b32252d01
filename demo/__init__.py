"""The demo: New York yellow-taxi trips through the whole platform. `python -m demo` is `make demo`, `bench` is `make bench`."""

import local  # noqa: F401 (from here on, an interrupt shows no traceback)
