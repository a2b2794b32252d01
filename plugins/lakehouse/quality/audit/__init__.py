"""The audit: reads every event of a pipeline's topic again, and compares it with the rows of each stage.

It does not use the pipeline's own SQL: `include/sql/audit/`, and the files that a declaration names as `audit`, implement
conversions and rules independently.
"""

from lakehouse.quality.audit.report import AuditReport, Finding, LayerReport
from lakehouse.quality.audit.run import run_audit

__all__ = ["AuditReport", "Finding", "LayerReport", "run_audit"]
