"""What an audit found, as data, as JSON and as a table to read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

KINDS = ("missing", "doubled", "altered")
SHOWN = 20


@dataclass(frozen=True)
class Finding:
    """One row that is not as it should be.

    :param place: the row as a person looks it up: partition and offset of its event, and the trip's id where one is known
    :param details: what differs, in words
    """

    kind: str
    place: str
    details: str


@dataclass
class LayerReport:
    """One layer against the one before it.

    :param checked: rows of the layer before, each of which was looked for in this one
    :param left_out: why -> how many rows could not be judged
    :param findings: the first of each kind
    """

    layer: str
    checked: int = 0
    missing: int = 0
    doubled: int = 0
    altered: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def leave_out(self, why: str, rows: int) -> None:
        if rows > 0:
            self.left_out[why] = self.left_out.get(why, 0) + rows


@dataclass
class AuditReport:
    """Bronze against Kafka, Silver against Bronze, Gold against Silver.

    :param seconds: how long it took
    """

    layers: list[LayerReport]
    seconds: float = 0.0

    @property
    def missing(self) -> dict[str, int]:
        """Rows that are in no table, by layer."""
        return {layer.layer: layer.missing for layer in self.layers}

    @property
    def doubled(self) -> dict[str, int]:
        """Rows that are there once too often, by layer."""
        return {layer.layer: layer.doubled for layer in self.layers}

    @property
    def altered(self) -> dict[str, int]:
        """Rows with other values than they should have, or in another table than they should be in, by layer."""
        return {layer.layer: layer.altered for layer in self.layers}

    @property
    def left_out(self) -> dict[str, int]:
        """Rows that were not judged, by layer."""
        return {layer.layer: sum(layer.left_out.values()) for layer in self.layers}

    @property
    def clean(self) -> bool:
        """Nothing is missing, doubled or altered."""
        return not any(getattr(layer, kind) for layer in self.layers for kind in KINDS)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON can carry it, with `clean`."""
        return {"clean": self.clean, **asdict(self)}

    def __str__(self) -> str:
        lines = [f"{'layer':8} {'rows checked':>14} {'missing':>10} {'doubled':>10} {'altered':>10} {'left out':>10}"]
        for layer in self.layers:
            counts = [layer.missing, layer.doubled, layer.altered, sum(layer.left_out.values())]
            lines.append(f"{layer.layer:8} {layer.checked:>14,} " + " ".join(f"{count:>10,}" for count in counts))
        for layer in self.layers:
            lines += [f"{layer.layer}: left out {rows:,}: {why}" for why, rows in layer.left_out.items()]
        for layer in self.layers:
            lines += [f"{layer.layer}: {found.kind}: {found.place}: {found.details}" for found in layer.findings]
        return "\n".join([*lines, f"audit: {'clean' if self.clean else 'NOT clean'} ({self.seconds:,.0f} s)"])
