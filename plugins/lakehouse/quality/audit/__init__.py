"""The audit: a full re-count of every event, key by key and value by value, with nothing taken from the pipeline's own code.

It reads Kafka again and compares what must have become of each event with what Bronze, Silver and Gold hold. As a command:
`python -m lakehouse audit`.
"""

from lakehouse.quality.audit.report import AuditReport, Finding, LayerReport
from lakehouse.quality.audit.run import run_audit

__all__ = ["AuditReport", "Finding", "LayerReport", "run_audit"]
