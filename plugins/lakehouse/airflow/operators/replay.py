"""The operators of a replay, driven by the run's `ReplayPlan`. All I/O is in `lakehouse.replay`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator, BaseSensorOperator
from airflow.sdk.exceptions import AirflowSkipException, DagRunTriggerException

if TYPE_CHECKING:
    from airflow.sdk import Context


class FlinkReplayOperator(BaseOperator):
    """Starts the jobs that build the tables of a replay, stage by stage. Returns job name -> Flink job id.

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
    """Waits until the tables of a replay have almost all rows; the switch waits for the rest, with the jobs quiesced.

    :param plan: fields of the `ReplayPlan` (templated)
    """

    template_fields: Sequence[str] = ("plan",)
    max_rows_behind = 50_000

    def __init__(self, *, plan: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan = plan

    def poke(self, context: Context) -> bool:
        from lakehouse.replay.plan import ReplayPlan
        from lakehouse.replay.rebuild import rows_behind

        behind = rows_behind(ReplayPlan(**self.plan))
        self.log.info("Rows behind: %s", behind)
        return max(behind.values()) < self.max_rows_behind


class GoldTriggerOperator(BaseOperator):
    """Triggers the DAG that builds a pipeline's Gold, once per run; skipped if the pipeline has no Gold.

    Airflow's own TriggerDagRunOperator imports the metadata models, which DAG files must not.

    :param pipeline: name of the pipeline (templated)
    """

    template_fields: Sequence[str] = ("pipeline",)

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline

    def execute(self, context: Context) -> NoReturn:
        from lakehouse.pipelines.load import get_pipeline

        pipeline = get_pipeline(self.pipeline)
        if pipeline.gold is None:
            raise AirflowSkipException(f"Pipeline {pipeline.name} declares no Gold")
        raise DagRunTriggerException(
            trigger_dag_id=pipeline.dag_id,
            dag_run_id=f"replay__{context['run_id']}",
            logical_date=datetime.now(UTC),  # else no alert would find a success of this run
            conf=None,
            reset_dag_run=True,
            skip_when_already_exists=False,
            wait_for_completion=False,
            allowed_states=[],
            failed_states=[],
            poke_interval=0,
            deferrable=False,
        )
