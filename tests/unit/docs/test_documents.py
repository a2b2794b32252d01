"""Links and references in documents are valid."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from documents import DOCUMENTS, markdown, name
from markdown_it import MarkdownIt
from markdown_it.token import Token

from lakehouse.gold.dictionary import PAGE, render_dictionary
from lakehouse.paths import REPOSITORY
from lakehouse.pipelines.load import declarations

#: A DAG file's docstring is its page in Airflow, with links as from the root.
PAGES = sorted((REPOSITORY / "dags").glob("*.py"))
IN_HTML = re.compile(r"""\b(?:href|src|srcset)=["']([^"']+)["']""")
#: A file of the repository in documents; names with placeholders do not count.
PATH = re.compile(r"`((?:dags|include|plugins|local|compose|flink|demo|docs|tests)/[\w./-]*\.\w+)`")
#: Files that the commands of an example write.
WRITTEN = {"include/pipelines/flights.md"}


def parsed(document: Path) -> list[Token]:
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(markdown(document))
    return [part for token in tokens for part in (token, *(token.children or ()))]


def links(document: Path) -> set[str]:
    tokens = parsed(document)
    markdown = {str(target) for token in tokens if (target := token.attrs.get("href") or token.attrs.get("src"))}
    html = {target for token in tokens if token.type.startswith("html") for target in IN_HTML.findall(token.content)}
    return markdown | html


@cache
def anchors(document: Path) -> set[str]:
    """Of each heading, as GitHub makes them: the second one of the same text is `text-1`."""
    seen: Counter[str] = Counter()
    found = set()
    for before, heading in pairwise(parsed(document)):
        if before.type == "heading_open":
            text = "".join(part.content for part in heading.children or ())
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return found


@pytest.mark.parametrize("document", [*DOCUMENTS, *PAGES], ids=name)
def test_links_are_valid(document):
    base = document.parent if document in DOCUMENTS else REPOSITORY
    broken = []
    for link in links(document):
        url = urlsplit(unquote(link))
        if url.scheme:
            continue
        target = (base / url.path).resolve() if url.path else document
        if not target.exists() or (url.fragment and (target.suffix != ".md" or url.fragment not in anchors(target))):
            broken.append(link)
    assert sorted(broken) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_mentioned_files_exist(document):
    named = set(PATH.findall(markdown(document))) - WRITTEN
    assert sorted(path for path in named if not (REPOSITORY / path).exists()) == []


def test_the_pictures_are_there():
    text = (REPOSITORY / "README.md").read_text()
    pictures = re.findall(r'(?:src|srcset)="([^"]+)"', text)
    assert pictures
    assert [name for name in pictures if not (REPOSITORY / name).exists()] == []


def test_the_light_and_the_dark_picture_differ_by_their_colours_alone():
    light, dark = (
        (REPOSITORY / "docs" / "images" / f"architecture-{name}.svg").read_text() for name in ("light", "dark")
    )
    assert light != dark
    assert re.sub("#[0-9a-f]{6}", "", light) == re.sub("#[0-9a-f]{6}", "", dark)


def test_the_newest_release_has_one_version_everywhere():
    released = re.search(r"^## \[(\d.*)\]", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    poms = [REPOSITORY / "flink" / "pom.xml", *(REPOSITORY / "flink").glob("*/pom.xml")]
    maven = {re.search(r"<version>(.*)</version>", pom.read_text())[1] for pom in poms}
    dbt = yaml.safe_load((REPOSITORY / "include" / "dbt" / "dbt_project.yml").read_text())["version"]
    assert maven | {dbt} == {released}


def test_the_page_of_tables_is_current():
    assert PAGE.read_text() == render_dictionary(declarations().pipelines.values()), "run `make regenerate`"


def test_every_column_of_a_table_is_described():
    rows = re.findall(r"^\| (`\w+`) \| (.*?) \| (.*?) \|$", PAGE.read_text(), re.MULTILINE)
    assert rows
    assert [row for row in rows if not all(row)] == []


def test_messages_that_the_runbook_quotes_are_sent():
    section = (REPOSITORY / "docs" / "runbook.md").read_text().split("\n## maintenance-failed\n")[1].split("\n## ")[0]
    quoted = [
        text for row in re.findall(r"^\| (\".*?) \|", section, re.MULTILINE) for text in re.findall(r'"([^"]+)"', row)
    ]
    sources = [*(REPOSITORY / "plugins").rglob("*.py"), *(REPOSITORY / "flink").glob("*/src/main/**/*.java")]
    code = re.sub(r'"\s*\+?\s*f?"', "", "\n".join(file.read_text() for file in sources))
    assert quoted
    assert [text for text in quoted if not all(part in code for part in text.split(" ... "))] == []
