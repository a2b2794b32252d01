"""Sends the rows of a file to a pipeline's topic as events, each checked against the contract."""

from .run import Sent, send_file

__all__ = ["Sent", "send_file"]
