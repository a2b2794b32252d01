"""Rejected events of any pipeline: count and show them, write them to a file to be fixed, and send them to the topic again.

They are in the sink with the role `rejected` of each stage. A stage that reads the topic keeps the payload as bytes; a stage that
reads a table keeps the event's fields as text, from which the event is rebuilt.
"""

from .replay import run
from .report import overview, show, write

__all__ = ["overview", "run", "show", "write"]
