"""Backup and restore of the platform on containers: all state, as of one recovery point, in a folder.

`create` and `restore` run on the Docker host and need only Python; `archive` runs in a container that mounts the volumes.
"""
