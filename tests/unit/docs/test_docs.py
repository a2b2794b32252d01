"""What the documents point to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lakehouse.paths import REPOSITORY

DOCUMENTS = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]
LINK = re.compile(r"\]\(([^)\s]+)\)")
#: A file of the repository, as documents write it; with a place to be filled in it is none.
PATH = re.compile(r"`((?:dags|include|plugins|local|compose|flink|demo|docs|tests)/[\w./-]*\.\w+)`")
#: What the commands of an example write.
WRITTEN = {"include/pipelines/flights.md"}


def anchors(document: Path) -> set[str]:
    """Of each heading, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_its_links_lead_somewhere(document):
    broken = []
    for link in LINK.findall(document.read_text()):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_the_files_that_it_names_are_there(document):
    named = set(PATH.findall(document.read_text())) - WRITTEN
    assert sorted(name for name in named if not (REPOSITORY / name).exists()) == []
