"""The audit: every event of a pipeline's topic is read again and compared, stage by stage, with what became of it.

Nothing is taken from the pipeline's own SQL: conversions and rules are written down a second time, in `include/sql/audit/` and in
the files that a declaration names as `audit`.
"""

from lakehouse.quality.audit.report import AuditReport, Finding, LayerReport
from lakehouse.quality.audit.run import run_audit

__all__ = ["AuditReport", "Finding", "LayerReport", "run_audit"]
