"""Maintenance of Iceberg tables: what a table needs, done while jobs write and read it, and written to a log.

`observe` sees, `policy` decides, `run` does one operation on one table under its lease and writes a row about it.
"""
