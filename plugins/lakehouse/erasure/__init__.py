"""Erasure of rows on request: deleted from every table of a pipeline, and still accounted for."""
