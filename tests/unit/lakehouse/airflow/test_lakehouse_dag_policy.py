"""The defaults that all DAGs share."""

from datetime import timedelta

import pytest
from airflow.sdk import CronTriggerTimetable, DeltaTriggerTimetable
from airflow.serialization.encoders import coerce_to_core_timetable

from lakehouse.airflow.dag_policy import Tag, dag_args, default_args, every


def test_a_dag_changes_one_default_and_keeps_the_others():
    own = default_args(retries=0, execution_timeout=timedelta(hours=6))
    assert (own["retries"], own["execution_timeout"]) == (0, timedelta(hours=6))
    assert own["retry_delay"] == default_args()["retry_delay"] == timedelta(minutes=5)
    assert default_args()["retries"] == 2


def test_each_dag_has_its_own_notifiers():
    """Airflow renders a notifier's fields in place."""
    for callback in ("on_retry_callback", "on_failure_callback", "on_success_callback"):
        assert default_args()[callback] is not default_args()[callback]


def test_tags_are_plain_text_for_airflow():
    args = dag_args("# Doc", Tag.GOLD, Tag.PIPELINE)
    assert args["tags"] == ["gold", "pipeline"]
    assert {type(tag) for tag in args["tags"]} == {str}
    assert args["doc_md"] == "# Doc"


@pytest.mark.parametrize(
    ("interval", "cron", "words"),
    [
        (timedelta(minutes=1), "*/1 * * * *", "Every minute"),
        (timedelta(minutes=10), "*/10 * * * *", "Every 10 minutes"),
        (timedelta(hours=1), "0 */1 * * *", "Every hour"),
        (timedelta(hours=6), "0 */6 * * *", "Every 6 hours"),
    ],
)
def test_the_list_of_dags_says_in_words_how_often_a_dag_runs(interval, cron, words):
    timetable = every(interval)
    assert timetable == CronTriggerTimetable(cron, timezone="UTC")
    assert coerce_to_core_timetable(timetable).description == words


@pytest.mark.parametrize("minutes", [0.5, 7, 10.5, 90, 7 * 60, 24 * 60, 48 * 60])
def test_an_interval_that_cron_cannot_say_is_kept_to_the_second(minutes):
    """With cron, the last of a series of seven minutes in an hour would be four minutes."""
    interval = timedelta(minutes=minutes)
    assert every(interval) == DeltaTriggerTimetable(interval)
