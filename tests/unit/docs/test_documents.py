"""What the documents point to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from lakehouse.paths import REPOSITORY
from lakehouse.streaming.health import Thresholds
from local import config

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


def test_every_setting_is_documented_with_its_place():
    page = (REPOSITORY / "docs" / "settings.md").read_text()
    settings = yaml.safe_load((REPOSITORY / "airflow_settings.yaml").read_text())["airflow"]
    variables = {entry["variable_name"]: entry["variable_value"] for entry in settings["variables"]}
    names = {
        *config.PORTS,
        *config.OPTIONS,
        *config.OBJECT_STORE,
        *variables,
        *(field for value in variables.values() if isinstance(value, dict) for field in value),
        *Thresholds.model_fields,
        *(entry["conn_id"] for entry in settings["connections"]),
        *(entry["pool_name"] for entry in settings["pools"]),
    }
    assert sorted(name for name in names if f"`{name}`" not in page) == []
