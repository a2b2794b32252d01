"""The notebook runs as `make notebook` opens it, from the first cell to the last, and every row is where it says."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psutil
import pytest
import requests
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

from lakehouse.waiting import wait_until

#: Of one cell: an upgrade of both jobs, or a build of Gold.
LIMIT_S = 300
PLACES = (
    "taxi.raw_trips", "bronze.raw_trips", "bronze.rejected_events",
    "silver.cleaned_trips", "silver.rejected_trips", "silver.duplicate_trips",
)  # fmt: skip
#: Step -> new rows of each place.
NEW = {
    "5,000 trips": (5_000, 5_000, 0, 4_927, 73, 0),
    "4 bad events": (4, 2, 2, 0, 2, 0),
    "1 fixed event": (1, 1, 0, 1, 0, 0),
    "the same 5,000 trips": (5_000, 5_000, 0, 0, 73, 4_927),
    "1,000 trips after the upgrade": (1_000, 1_000, 0, 985, 15, 0),
    "1,000 trips without a job": (1_000, 1_000, 0, 985, 15, 0),
    "compaction": (0, 0, 0, 0, 0, 0),
}
#: Cell -> what its output says.
SHOWN = {
    "rejected-events": ["not JSON", "JSON, but not an object"],
    "rejected-trips": ["fare_amount is negative", "tpep_pickup_datetime is missing or unreadable"],
    "send-fix": ["{'sent': 1, 'sent_before': 0}", "{'sent': 0, 'sent_before': 1}"],
    "rules": ["THEN 'fare_amount is negative'"],
    "runs": ["/checkpoints/nyc_taxi.bronze/", "CANCELED", "RUNNING"],
    "make-ledger": ["fct_trips", "ledger: balanced"],
}


@pytest.fixture(scope="module")
def walked(platform, main_job, copy) -> nbformat.NotebookNode:
    """The notebook with its outputs; its last cell prints the rows of each place after each step."""
    folder = copy.folder / "notebooks"
    notebook = nbformat.read(folder / "walkthrough.ipynb", nbformat.current_nbformat)
    notebook.cells.append(new_code_cell("print(json.dumps(steps))", id="rows"))
    client = NotebookClient(notebook, timeout=LIMIT_S, resources={"metadata": {"path": str(folder)}})
    return client.execute(env=copy.shell_environment(platform))


@pytest.fixture(scope="module")
def outputs(walked: nbformat.NotebookNode) -> dict[str, list[nbformat.NotebookNode]]:
    return {cell.id: cell.outputs for cell in walked.cells if cell.cell_type == "code"}


def text(outputs: list[nbformat.NotebookNode]) -> str:
    """What a reader sees; the plain text of a table would be cut."""

    def shown(output: nbformat.NotebookNode) -> str:
        return output.text if "text" in output else output.data.get("text/html", output.data["text/plain"])

    return "".join(map(shown, outputs))


@pytest.mark.timeout(1500)
def test_every_row_is_where_it_says(main_job, outputs):
    steps = json.loads(text(outputs["rows"]))

    before, found = None, {}
    for step, rows in steps.items():
        assert tuple(rows) == PLACES
        if before:
            found[step] = tuple(rows[place] - before[place] for place in PLACES)
        before = rows
    assert found == NEW
    ledger = main_job.ledger()
    assert {main_job.topic: ledger.events, **{table: ledger.rows(table) for table in PLACES[1:]}} == before
    assert ledger.balanced


@pytest.mark.parametrize(("cell", "words"), SHOWN.items(), ids=SHOWN)
def test_it_shows(outputs, cell, words):
    shown = text(outputs[cell])
    assert [word for word in words if word not in shown] == [], shown


def test_both_jobs_were_upgraded_from_savepoints(outputs):
    shown = text(outputs["change-option"])
    assert shown.count("upgraded") == 2, shown
    assert shown.count("/savepoint-") == 2, shown


def test_charts_are_drawn(outputs):
    charts = {name: found for name, found in outputs.items() if name.startswith("chart-")}
    assert {name: ["image/png" in output.data for output in found] for name, found in charts.items()} == {
        "chart-hours": [True],
        "chart-days": [True],
        "chart-zones": [True],
    }


def test_it_leaves_the_options_as_they_were(main_job, outputs):
    options = json.loads(main_job.api.variable("flink_job_options"))
    assert "execution.checkpointing.min-pause" not in options


def test_it_shows_only_answers(outputs):
    """Neither warnings nor a log, which comes in colours."""
    said = {name: text(found) for name, found in outputs.items() if any(one.get("name") == "stderr" for one in found)}
    assert said == {}
    assert [name for name, found in outputs.items() if "\x1b[" in text(found)] == []


@pytest.fixture
def jupyter(platform, copy, tmp_path: Path) -> Iterator[tuple[psutil.Process, str, str]]:
    """`make notebook`: its process, its address, and the token that it gives to whoever started it."""
    log = tmp_path / "jupyter.log"
    with log.open("w") as output:
        process = psutil.Popen(
            ["make", "notebook"], cwd=copy.folder, env=copy.shell_environment(platform) | {"BROWSER": "true"},
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        address = re.compile(r"(http://\S+)/lab/tree/notebooks/walkthrough\.ipynb\?token=(\w+)")
        found = wait_until(lambda: address.search(log.read_text()), "JupyterLab", LIMIT_S, on_timeout=log.read_text)
        yield process, *found.groups()
    finally:
        family = [process, *process.children(recursive=True)]
        os.killpg(process.pid, signal.SIGTERM)
        _, left = psutil.wait_procs(family, LIMIT_S)
    assert left == []


def test_make_notebook_requires_the_token(jupyter, checkout):
    process, url, token = jupyter
    notebook = f"{url}/api/contents/notebooks/walkthrough.ipynb"
    kernels = f"{url}/api/kernelspecs"
    login = {"Authorization": f"token {token}"}

    assert requests.get(notebook, timeout=30).status_code == 403
    assert requests.get(notebook, headers=login, timeout=30).json()["type"] == "notebook"
    [kernel] = requests.get(kernels, headers=login, timeout=30).json()["kernelspecs"].values()
    assert Path(kernel["spec"]["argv"][0]).parents[1].samefile(checkout / ".venv")
    listening = {
        connection.laddr.ip
        for member in process.children(recursive=True)
        for connection in member.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}
