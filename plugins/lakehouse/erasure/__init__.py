"""Rows that a person asks to have erased: removed from every table of a pipeline, and accounted for ever after."""
