"""Maintenance of Iceberg tables: what a table needs, done beside jobs that write and read it, and written down.

`observe` sees, `policy` decides, `run` does one operation on one table under its lease and writes a row about it.
"""
