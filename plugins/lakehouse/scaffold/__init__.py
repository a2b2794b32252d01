"""Generates a complete pipeline from a sample of events: declaration, contract, Silver SQL and dbt models, to be edited."""
