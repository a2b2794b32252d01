"""Maintenance of Iceberg tables while jobs write and read them.

`observe` collects a table's state, `policy` decides what is due, `engines` execute an operation, and `run` puts these together
for one operation on one table, under the table's lease, and logs it.
"""
