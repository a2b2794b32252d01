"""What the DAGs share, where a DAG does not say otherwise."""

from datetime import timedelta

from lakehouse.airflow.dag_policy import Tag, dag_args, default_args


def test_a_dag_changes_one_default_and_keeps_the_others():
    own = default_args(retries=0, execution_timeout=timedelta(hours=6))
    assert (own["retries"], own["execution_timeout"]) == (0, timedelta(hours=6))
    assert own["retry_delay"] == default_args()["retry_delay"] == timedelta(minutes=5)
    assert default_args()["retries"] == 2


def test_each_dag_has_notifiers_of_its_own():
    """Airflow renders a notifier's fields in place."""
    assert default_args()["on_failure_callback"] is not default_args()["on_failure_callback"]


def test_tags_are_plain_text_for_airflow():
    args = dag_args("# Doc", Tag.GOLD, Tag.PIPELINE)
    assert args["tags"] == ["gold", "pipeline"]
    assert {type(tag) for tag in args["tags"]} == {str}
    assert args["doc_md"] == "# Doc"
