"""The operators of a replay, which a run's `ReplayPlan` directs. All I/O is in `lakehouse.replay`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, BaseSensorOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class FlinkReplayOperator(BaseOperator):
    """Starts the jobs that build the tables of a replay, stage by stage. Returns job -> Flink's id of it.

    :param plan: fields of the `ReplayPlan` (templated)
    """

    template_fields: Sequence[str] = ("plan",)

    def __init__(self, *, plan: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan = plan

    def execute(self, context: Context) -> dict[str, str]:
        from lakehouse.replay.plan import ReplayPlan
        from lakehouse.replay.rebuild import start

        return start(ReplayPlan(**self.plan))


class FlinkReplaySensor(BaseSensorOperator):
    """Waits until the tables of a replay have almost all rows; the switch waits for the last, with the jobs at rest.

    :param plan: fields of the `ReplayPlan` (templated)
    """

    template_fields: Sequence[str] = ("plan",)
    almost = 50_000  # rows

    def __init__(self, *, plan: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan = plan

    def poke(self, context: Context) -> bool:
        from lakehouse.replay.plan import ReplayPlan
        from lakehouse.replay.rebuild import rows_behind

        behind = rows_behind(ReplayPlan(**self.plan))
        self.log.info("Rows behind: %s", behind)
        return max(behind.values()) < self.almost
