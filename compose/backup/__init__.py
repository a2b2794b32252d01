"""Backup and restore of the platform on containers: what has state, at one recovery point, into a folder and back.

`create` and `restore` run on the machine that has Docker, with Python alone; `archive` runs in a container beside the volumes.
"""
