"""Files outside of the tables (Flink's state, and the records of jobs), on the local disk or in an object store."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from upath import UPath


def stored(address: str) -> UPath:
    """The file or folder at an address such as `file:///x` or `s3://bucket/x`.

    Credentials of an object store come from the environment (`AWS_ACCESS_KEY_ID` and so on). Listings are not cached, because
    other processes write there too.
    """
    from upath import UPath

    return UPath(address, use_listings_cache=False)


def write(address: str, text: str) -> None:
    """Write a small file atomically, readable by its owner alone if the store has file modes."""
    path = stored(address)
    if path.protocol != "file":
        path.write_text(text)  # writing an object is atomic
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent.path, prefix=f".{path.name}.")  # mode 0600
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w") as target:
            target.write(text)
        draft.replace(path.path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
