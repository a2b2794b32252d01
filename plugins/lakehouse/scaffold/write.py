"""Writes a pipeline's files: either all of them, valid together, or none."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lakehouse.gold.generate import regenerate
from lakehouse.paths import INCLUDE
from lakehouse.pipelines.contract import ContractError, read_contract
from lakehouse.pipelines.load import DeclarationError, declarations
from lakehouse.pipelines.model import Name, Pipeline
from lakehouse.scaffold.infer import infer
from lakehouse.scaffold.render import contract_text, render, values
from lakehouse.scaffold.sample import read_sample


def new_pipeline(name: str, sample: Path, key: str | None = None, time: str | None = None) -> list[Path]:
    """Write a complete pipeline for events like those of a sample: declaration, contract, SQL, dbt models and a guide.

    :param sample: JSON lines, CSV or Parquet
    :param key: fields that identify an event, separated by commas; by default, all fields together
    :param time: field with the time of an event
    :return: the files; the first is the guide to what to edit next
    :raises DeclarationError: the name, the sample or a field is invalid, or a file already exists; nothing is written
    :raises AirflowException: the sample cannot be read, or dbt cannot parse the models; nothing is written
    """
    _check_name(name)
    files = _files(name)
    generated = [f"dbt/models/{name}/staging/_sources.yml", f"dbt/manifests/{name}.json"]
    for file in (*files, *generated):
        if (INCLUDE / file).exists():
            raise DeclarationError(
                f"include/{file} already exists and is not overwritten. Next: choose another NAME, or delete the files of the "
                f"pipeline {name} first"
            )
    with tempfile.TemporaryDirectory(prefix="new-pipeline-") as folder:
        draft = Path(folder, "include")
        shutil.copytree(INCLUDE, draft, ignore=shutil.ignore_patterns("target", "logs", "__pycache__"))
        written = _write(
            draft, files, name, sample, [part.strip() for part in (key or "").split(",") if part.strip()], time or None
        )
        pipeline = _validated(draft, name)
        return _move(draft, written, generated, pipeline)


def next_steps(name: str) -> str:
    """What to do after a pipeline's files were written, for the terminal."""
    return (
        f"Next: edit what include/pipelines/{name}.md lists; then `make up`, or wait for the next run of flink_jobs; then "
        f"`make send NAME={name} FILE=...`"
    )


def _check_name(name: str) -> None:
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        raise DeclarationError(
            f"{name!r} cannot be the name of a pipeline. Next: use at most 40 lower-case letters, digits and underscores, a "
            "letter first"
        ) from error


def _files(name: str) -> dict[str, str]:
    """File in `include/` -> its template (none for the contract)."""
    return {
        f"pipelines/{name}.md": "page.md",
        f"contracts/{name}.json": "",
        f"sql/{name}/06-silver.sql": "06-silver.sql",
        f"dbt/models/{name}/_{name}.yml": "models.yml",
        f"dbt/models/{name}/staging/stg_{name}.sql": "stg.sql",
        f"dbt/models/{name}/marts/core/fct_{name}.sql": "fct.sql",
        f"dbt/models/{name}/marts/core/late_duplicates.sql": "late.sql",
        f"dbt/models/{name}/marts/daily/mart_{name}_daily.sql": "mart.sql",
        f"dbt/tests/{name}/mart_{name}_daily_adds_up.sql": "adds_up.sql",
        f"pipelines/{name}.yaml": "pipeline.yaml",  # last: it activates the others
    }


def _write(draft: Path, files: dict[str, str], name: str, path: Path, key: list[str], time: str | None) -> list[str]:
    """Write the files into a copy of `include/`; return those that were written."""
    sample = read_sample(path)
    event = infer(sample, key, time)
    contract_file = draft / "contracts" / f"{name}.json"
    contract_file.write_text(contract_text(name, event))
    try:
        contract = read_contract(contract_file)
    except ContractError as error:
        raise DeclarationError(str(error)) from error
    known = {"sample": path, **values(name, sample, event, contract, key, time)}
    written = []
    for file, template in files.items():
        if template == "adds_up.sql" and not known["measures"]:
            continue
        if template:
            (draft / file).parent.mkdir(parents=True, exist_ok=True)
            (draft / file).write_text(render(template, **known))
        written.append(file)
    return written


def _validated(draft: Path, name: str) -> Pipeline:
    """Load the new pipeline together with the others.

    :raises DeclarationError: it is invalid, or makes another one invalid
    """
    before, now = declarations(INCLUDE), declarations(draft)
    if new := [problem for file, problem in now.problems.items() if file not in before.problems]:
        raise DeclarationError(f"The new pipeline cannot be declared: {new[0]}")
    return now.pipelines[name]


def _move(draft: Path, written: list[str], generated: list[str], pipeline: Pipeline) -> list[Path]:
    """Move the files to `include/`, generate dbt's files, and move the declaration last; on an error, remove all of them."""
    *first, declaration = written
    try:
        _place(draft, first)
        regenerate(pipeline)
        _place(draft, [declaration])
    except BaseException:
        _remove([*written, *generated])
        raise
    return [INCLUDE / file for file in (*first, *generated, declaration)]


def _place(draft: Path, files: Iterable[str]) -> None:
    for file in files:
        (INCLUDE / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(draft / file, INCLUDE / file)


def _remove(files: Iterable[str]) -> None:
    """Remove files, and folders that are empty afterwards."""
    for file in files:
        path = INCLUDE / file
        path.unlink(missing_ok=True)
        for folder in path.relative_to(INCLUDE).parents:
            if (INCLUDE / folder).is_dir() and not any((INCLUDE / folder).iterdir()):
                (INCLUDE / folder).rmdir()
