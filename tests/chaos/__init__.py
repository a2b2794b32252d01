"""The chaos suite: faults are injected into the real platform under a steady load, and every row is checked afterwards.

`catalogue` defines the faults, `engine` injects them and measures, `judge` checks rows, `report` prints; run by `make chaos`.
"""
