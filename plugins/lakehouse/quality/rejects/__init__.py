"""Rejected events of any pipeline: counted and shown, written to a file where they can be fixed, and sent to the topic again.

Every stage that has a sink with the role `rejected` has some. Of a stage that reads the topic, the payloads are kept as bytes;
of one that reads a table, the event's fields are kept as text, from which the event is rebuilt.
"""

from .replay import run
from .report import overview, show, write

__all__ = ["overview", "run", "show", "write"]
