"""The project's documents, and the commands that they show."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import nbformat

from lakehouse.paths import REPOSITORY

#: Not those that are built or installed, nor templates of documents.
ELSEWHERE = {"target", "templates"}
DOCUMENTS = sorted(
    document
    for place in ("*.md", "[a-z]*/**/*.md", "notebooks/*.ipynb")
    for document in REPOSITORY.glob(place)
    if ELSEWHERE.isdisjoint(document.relative_to(REPOSITORY).parts)
)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`]+)`")
#: A word of a shell: it ends at a blank outside quotes.
WORD = r"""(?:"[^"]*"|'[^']*'|[^\s"'();|])+"""
MAKE = re.compile(rf"(?:^|[;(] ?)((?:[A-Z_0-9]+=(?:{WORD})? )*)make((?: {WORD})*)")
ASSIGNMENT = re.compile(r"([A-Z][A-Z_0-9]*)=")


class Make(NamedTuple):
    """A call of make: document and line, names that the environment sets, targets, variables with their values."""

    where: str
    environment: tuple[str, ...]
    targets: tuple[str, ...]
    variables: dict[str, str]


def name(file: Path) -> str:
    """A document as messages name it."""
    return str(file.relative_to(REPOSITORY))


def markdown(file: Path) -> str:
    """A document's text: of a DAG file its page in Airflow, of a notebook its text and its commands."""
    if file.suffix == ".py":
        return ast.get_docstring(ast.parse(file.read_text())) or ""
    if file.suffix == ".ipynb":
        return "\n\n".join(_cells(file))
    return file.read_text()


def _cells(notebook: Path) -> Iterator[str]:
    for cell in nbformat.read(notebook, nbformat.current_nbformat).cells:
        if cell.cell_type == "markdown":
            yield cell.source
        elif cell.source.startswith("%%bash\n"):
            yield f"```bash\n{cell.source.removeprefix('%%bash').strip()}\n```"


def texts() -> dict[str, str]:
    """Name -> text of every document, the pages of the DAGs among them."""
    return {name(file): markdown(file) for file in [*DOCUMENTS, *(REPOSITORY / "dags").glob("*.py")]}


def shown(text: str) -> Iterator[str]:
    """What a document shows as code: each line of a block of commands, without its comment, and each span within a line."""
    for language, block in BLOCK.findall(text):
        if language in ("", "bash"):
            yield from (re.sub(r"\s+# .*", "", line) for line in block.splitlines())
    yield from (" ".join(span.split()) for span in SPAN.findall(BLOCK.sub("", text)))


def calls_of_make() -> list[Make]:
    """Every call of make in the documents."""
    calls = []
    for where, text in texts().items():
        for line in shown(text):
            for before, after in MAKE.findall(line):
                words = re.findall(WORD, after)
                targets = tuple(word for word in words if "=" not in word and not word.startswith("-"))
                variables = {
                    found[1]: word[found.end() :].strip("\"'") for word in words if (found := ASSIGNMENT.match(word))
                }
                calls.append(Make(f"{where}: {line}", tuple(ASSIGNMENT.findall(before)), targets, variables))
    return calls
