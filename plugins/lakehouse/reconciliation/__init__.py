"""Reconciles a stage's sinks with its source: which rows are missing or surplus, exact to the offset.

Every row has the position of its event in the topic (`kafka_partition`, `kafka_offset`), so that source and sinks can be compared
as sets. Reconciliation is incremental: it stores the difference, and reads only what was committed to the tables since the last
time. The cost depends on the number of new rows, not on the history.
"""
