"""What PostgreSQL's own account may access, and that nothing else becomes accessible."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import postgres


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folders_above_kept(tmp_path: Path) -> Iterator[None]:
    """Restore the modes of the parent folders after the test."""
    before = {folder: _mode(folder) for folder in tmp_path.parents}
    yield
    for folder, mode in before.items():
        if _mode(folder) != mode:
            folder.chmod(mode)


@pytest.mark.parametrize(("user_id", "account"), [(0, "pgserver"), (1000, None)])
def test_only_root_needs_a_separate_account_for_the_server(monkeypatch, user_id, account):
    monkeypatch.setattr(os, "geteuid", lambda: user_id)
    assert postgres.account() == account


@pytest.mark.usefixtures("folders_above_kept")
def test_the_account_may_traverse_folders_but_not_list_them(tmp_path, capsys):
    inner = tmp_path / "closed" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "closed" / "secret").touch(mode=0o600)
    (tmp_path / "closed").chmod(0o700)
    inner.chmod(0o755)

    postgres._let_through(inner)
    assert [_mode(path) for path in (tmp_path / "closed", inner)] == [0o701, 0o755]
    assert _mode(tmp_path / "closed" / "secret") == 0o600
    assert f"{tmp_path}/closed: other accounts may now traverse it" in capsys.readouterr().out

    postgres._let_through(inner)
    assert capsys.readouterr().out == ""


def test_files_installed_under_a_strict_umask_become_readable_and_not_writable(tmp_path):
    program, library = tmp_path / "bin" / "initdb", tmp_path / "lib.so"
    program.parent.mkdir()
    for path, mode in ((program.parent, 0o700), (program, 0o700), (library, 0o600)):
        path.touch()
        path.chmod(mode)
    postgres._make_readable(tmp_path)
    assert [_mode(path) for path in (program.parent, program, library)] == [0o705, 0o705, 0o604]
