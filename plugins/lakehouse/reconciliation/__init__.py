"""Which rows of a stage's source are in none of its sinks, and which are there once too often: exact to the offset.

Every row keeps the position of its event in the topic (`kafka_partition`, `kafka_offset`), so that source and sinks compare as
sets. Between two looks only the difference is kept, and a look reads what the tables' commits since the last one added or
removed: the cost follows the new rows, not the history.
"""
