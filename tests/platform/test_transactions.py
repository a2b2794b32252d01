"""A transactional producer: transaction markers and aborted messages are not events."""

from __future__ import annotations

import json

from airflow.sdk import BaseHook
from confluent_kafka import Producer

EVENT = json.dumps({"VendorID": 1}).encode()


def test_committed_events_arrive_and_the_rest_is_accounted_for(main_job):
    before = main_job.wait(main_job.ledger_at_rest, "earlier trips to arrive", 300)
    producer = Producer({**BaseHook.get_connection("kafka_default").extra_dejson, "transactional.id": "tests"})
    producer.init_transactions(60)
    for committed in (True, False, True, False):
        producer.begin_transaction()
        for number in range(50):
            producer.produce(main_job.topic, EVENT, partition=number % 2)
        producer.flush(60)
        producer.commit_transaction(60) if committed else producer.abort_transaction(60)

    def arrived():
        now = main_job.ledger_at_rest()
        return now and now.events > before.events and now

    now = main_job.wait(
        arrived, "the committed events to arrive, and the others to be identified as empty offsets", 300
    )
    assert now.events - before.events == 100
    assert now.rows("bronze.raw_trips") - before.rows("bronze.raw_trips") == 100
    assert now.rows("silver.rejected_trips") - before.rows("silver.rejected_trips") == 100
    assert now.errors == []
