"""Replay: rebuild the tables of some stages while the live ones stay in use, then replace these in one transaction."""
