"""The demo sends New York yellow-taxi trips through the whole platform: `make demo`. `bench` measures it: `make bench`."""

import local  # noqa: F401 (from here on, an interrupt shows no traceback)
