"""One message for everything that went wrong: the DAG, run, task, try, the error's first lines and the way to the log."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from threading import Thread
from typing import Any

from airflow.sdk import BaseNotifier

log = logging.getLogger(__name__)

ALERTS_CONN_ID = "alerts"
SEND_LIMIT_S = 10
ERROR_LINES = 5


class AlertNotifier(BaseNotifier):
    """Sends a message through the Apprise connection `alerts`, and writes it as one structured line to the task's log.

    Without an address in the connection the log line is all. A channel that is down, slow or wrong is logged; it neither
    fails the task nor holds it for longer than `SEND_LIMIT_S` seconds.

    :param event: what happened: "retry", "failure" or a word of your own
    :param message: more about it in words; by default the error's first lines
    """

    template_fields = ("event", "message")

    def __init__(self, event: str, message: str = "") -> None:
        super().__init__()
        self.event = event
        self.message = message

    def notify(self, context: Mapping[str, Any]) -> None:
        alert = self._describe(context)
        log.warning("ALERT %s", json.dumps(alert))
        # A daemon thread: whatever the channel does, the task's process goes on and may end.
        sender = Thread(target=_send, args=(alert,), daemon=True)
        sender.start()
        sender.join(SEND_LIMIT_S)
        if sender.is_alive():
            log.error(
                "The alert was not sent within %s s; the connection %r leads to a channel that hangs",
                SEND_LIMIT_S,
                ALERTS_CONN_ID,
            )

    def _describe(self, context: Mapping[str, Any]) -> dict[str, Any]:
        task_instance = context["ti"]
        error = str(context.get("exception") or "").splitlines()[:ERROR_LINES]
        return {
            "event": self.event,
            "dag": task_instance.dag_id,
            "run": task_instance.run_id,
            "task": task_instance.task_id,
            "try": task_instance.try_number,
            "message": self.message or "\n".join(error),
            "log": getattr(task_instance, "log_url", None),
        }


def _send(alert: Mapping[str, Any]) -> None:
    from airflow.providers.apprise.hooks.apprise import AppriseHook  # takes a quarter of a second

    try:
        hook = AppriseHook(ALERTS_CONN_ID)
        if not (hook.get_connection(ALERTS_CONN_ID).extra_dejson.get("config") or {}).get("path"):
            return
        title = f"{alert['event']}: {alert['dag']}.{alert['task']}"
        body = "\n".join(f"{name}: {value}" for name, value in alert.items() if value)
        hook.notify(body=body, title=title, notify_type="failure")
    except Exception:
        log.exception("The alert could not be sent through connection %r", ALERTS_CONN_ID)
