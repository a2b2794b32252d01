"""Folders that cannot be written to for some time, and are restored afterwards."""

from __future__ import annotations

import errno

import pytest

from chaos.catalogue import blocked
from chaos.disk import filled, is_own_filesystem, small_disk


def test_nothing_can_be_written_below_a_blocked_folder_not_even_by_root(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    kept = folder / "kept"
    with kept.open("w") as open_before:
        with blocked(folder):
            for write in ((folder / "new").touch, (folder / "deeper").mkdir, kept.read_text):
                with pytest.raises(NotADirectoryError):
                    write()
            open_before.write("an open file stays writable")
        open_before.flush()
        assert kept.read_text() == "an open file stays writable"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_small_disk_is_full_and_then_is_not(tmp_path):
    folder = tmp_path / "disk"
    with small_disk(folder, "4m"):
        if not is_own_filesystem(folder):
            pytest.skip("mounting a file system takes root")
        (folder / "before").write_bytes(b"x" * 1_000_000)
        with filled(folder), pytest.raises(OSError, match="No space left") as error:
            (folder / "more").write_bytes(b"x" * 100_000)
        assert error.value.errno == errno.ENOSPC
        (folder / "after").write_bytes(b"x" * 1_000_000)
    assert not is_own_filesystem(folder)
    assert list(folder.iterdir()) == []
