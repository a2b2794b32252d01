"""The result of an audit as data, JSON, and text."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

KINDS = ("missing", "duplicated", "altered")
SHOWN = 20


@dataclass(frozen=True)
class Finding:
    """One row that differs from what is expected.

    :param place: identifies the row for a person: partition and offset of its event, or its key
    :param details: what differs
    """

    kind: str
    place: str
    details: str


@dataclass
class LayerReport:
    """The comparison of one layer with its source.

    :param layer: name of the stage, or "gold"
    :param checked: number of rows of the source that were checked
    :param left_out: reason -> number of rows that were not checked
    :param findings: the first findings of each kind
    """

    layer: str
    checked: int = 0
    missing: int = 0
    duplicated: int = 0
    altered: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def leave_out(self, reason: str, rows: int) -> None:
        if rows > 0:
            self.left_out[reason] = self.left_out.get(reason, 0) + rows


@dataclass
class AuditReport:
    """The comparison of each stage of a pipeline with its source, and of Gold with the table that it is built from.

    :param seconds: duration of the audit
    """

    layers: list[LayerReport]
    seconds: float = 0.0

    @property
    def missing(self) -> dict[str, int]:
        """Number of rows that are in no table, by layer."""
        return {layer.layer: layer.missing for layer in self.layers}

    @property
    def duplicated(self) -> dict[str, int]:
        """Number of surplus rows, by layer."""
        return {layer.layer: layer.duplicated for layer in self.layers}

    @property
    def altered(self) -> dict[str, int]:
        """Number of rows with wrong values, or in the wrong table, by layer."""
        return {layer.layer: layer.altered for layer in self.layers}

    @property
    def left_out(self) -> dict[str, int]:
        """Number of rows that were not checked, by layer."""
        return {layer.layer: sum(layer.left_out.values()) for layer in self.layers}

    @property
    def clean(self) -> bool:
        """Whether nothing is missing, duplicated or altered."""
        return not any(getattr(layer, kind) for layer in self.layers for kind in KINDS)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-compatible data, with `clean`."""
        return {"clean": self.clean, **asdict(self)}

    def __str__(self) -> str:
        width = max(len(layer.layer) for layer in [LayerReport("layer"), *self.layers])
        heads = ["rows checked", *KINDS, "left out"]
        lines = [f"{'layer':{width}}  " + " ".join(f"{head:>14}" for head in heads)]
        for layer in self.layers:
            counts = [layer.checked, *(getattr(layer, kind) for kind in KINDS), sum(layer.left_out.values())]
            lines.append(f"{layer.layer:{width}}  " + " ".join(f"{count:>14,}" for count in counts))
        for layer in self.layers:
            lines += [f"{layer.layer}: left out {rows:,}: {reason}" for reason, rows in layer.left_out.items()]
        for layer in self.layers:
            lines += [f"{layer.layer}: {found.kind}: {found.place}: {found.details}" for found in layer.findings]
        return "\n".join([*lines, f"audit: {'clean' if self.clean else 'NOT clean'} ({self.seconds:,.0f} s)"])
