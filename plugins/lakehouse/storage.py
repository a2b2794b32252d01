"""Files beside the tables (what Flink saves, and what is remembered of it), on the local disk or in an object store."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from upath import UPath


def stored(address: str) -> UPath:
    """The file or folder at an address, as `file:///x` or `s3://bucket/x`.

    Keys of an object store come from the environment (`AWS_ACCESS_KEY_ID` and so on). Others write there too: what is in a
    folder is asked each time.
    """
    from upath import UPath

    return UPath(address, use_listings_cache=False)
