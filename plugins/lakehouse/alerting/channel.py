"""How messages are sent: as a structured line in the task's log, and through the Apprise connection `alerts`."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from threading import Thread
from typing import Any

from airflow.sdk import Variable

log = logging.getLogger(__name__)

ALERTS_CONN_ID = "alerts"
SEND_LIMIT_S = 10


def runbook(section: str) -> str:
    """Link to a section of the runbook; the variable `runbook_url` is the location of the file."""
    return f"{Variable.get('runbook_url', default='docs/runbook.md')}#{section}"


def deliver(title: str, message: Mapping[str, Any], kind: str = "failure") -> bool:
    """Log the message and send it; return whether the channel accepted it (True if none is configured).

    A channel that is down, slow or misconfigured is logged; it neither fails the task nor delays it for more than
    `SEND_LIMIT_S` seconds.

    :param kind: Apprise's type of notification: "failure" or "success"
    """
    log.warning("ALERT %s", json.dumps(message))
    delivered: list[bool] = []
    # A daemon thread: whatever the channel does, the task can finish.
    sender = Thread(target=lambda: delivered.append(_send(title, message, kind)), daemon=True)
    sender.start()
    sender.join(SEND_LIMIT_S)
    if sender.is_alive():
        log.error(
            "The alert was not sent within %s s: the channel of the connection %r hangs",
            SEND_LIMIT_S,
            ALERTS_CONN_ID,
        )
    return delivered == [True]


def _send(title: str, message: Mapping[str, Any], kind: str) -> bool:
    try:
        from airflow.providers.apprise.hooks.apprise import AppriseHook  # imported late: it takes a quarter of a second
        from apprise import Apprise

        hook = AppriseHook(ALERTS_CONN_ID)
        connection = hook.get_connection(ALERTS_CONN_ID)
        if not (connection.extra_dejson.get("config") or {}).get("path"):
            return True
        # The hook's own `notify` does not return whether the message was accepted.
        channel = Apprise()
        hook.set_config_from_conn(connection, channel)
        body = "\n".join(f"{name}: {value}" for name, value in message.items() if value)
        return bool(channel.notify(body=body, title=title, notify_type=kind))
    except Exception:
        log.exception("The alert could not be sent through connection %r", ALERTS_CONN_ID)
        return False
