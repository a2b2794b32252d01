"""The report: JSON with one object per fault, and a page whose table shows late and skipped faults."""

from __future__ import annotations

import json
from contextlib import nullcontext

from chaos.engine import Fault, Outcome
from chaos.report import Report
from lakehouse.quality.audit import AuditReport

FAULTS = [Fault(name, f"what {name} is", lambda _: nullcontext()) for name in ("quick", "slow", "broken", "absent")]


def test_json_and_page(tmp_path, capsys):
    report = Report(tmp_path / "state" / "chaos.json", FAULTS, seed=7, rate=2_000, checkpoint_s=4)
    report.add(Outcome("quick", 12.34, 1_000, 0, 0, 0))
    report.add(Outcome("slow", 31.0, 20_000, 0, 0, 0))
    report.add(Outcome("broken", None, 30_000, 1, 2, 3))
    report.add(Outcome("sequence 1: quick, slow", 50.0, 5, 0, 0, 0))
    report.left_out["absent"] = "mounting takes root\nand more"
    report.audit = AuditReport(layers=[], seconds=12)

    assert json.loads((tmp_path / "state" / "chaos.json").read_text())[2] == {
        "fault": "broken", "recovery_s": None, "rows_in_flight": 30_000, "lost": 1, "duplicated": 2, "altered": 3
    }  # fmt: skip
    report.show()
    assert "not struck: absent: mounting takes root" in capsys.readouterr().out
    report.write_page(tmp_path / "docs" / "chaos.md")
    page = (tmp_path / "docs" / "chaos.md").read_text()
    assert "| fault | recovery_s | rows_in_flight | lost | duplicated | altered | what happens |" in page
    assert "| quick | 12.3 | 1,000 | 0 | 0 | 0 | what quick is |" in page
    assert "| slow | **31.0** | 20,000 | 0 | 0 | 0 | what slow is |" in page
    assert "| broken | **not by itself** | 30,000 | 1 | 2 | 3 | what broken is |" in page
    assert "| sequence 1: quick, slow | 50.0 | 5 | 0 | 0 | 0 | each starts before the previous one ends |" in page
    assert "| absent | not struck | | | | | mounting takes root |" in page
    assert "SEED=7" in page
    assert "2,000 events/s" in page
    assert "audit: clean (12 s)" in page
