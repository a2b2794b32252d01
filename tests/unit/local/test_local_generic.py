"""The embedded platform knows no data set: its pipelines are declared elsewhere, and the demo is a separate package."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from local.config import ROOT

NAMES = re.compile(r"taxi|\btrips?\b|nyc|vendor_?id|pickup|cleaned_trips|raw_trips", re.IGNORECASE)
FOLDERS = ("local", "compose/setup")
FILES = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*") if file.is_file() and file.suffix != ".pyc"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_name_of_a_data_set(file):
    code = re.sub(r"^\s*#.*$", "", file.read_text(), flags=re.MULTILINE)  # comments may contain examples
    assert NAMES.findall(code) == []


def test_the_demo_is_not_imported():
    code = "import sys, local.__main__; print([name for name in sys.modules if name.split('.')[0] == 'demo'])"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.stdout == "[]\n", run.stderr
