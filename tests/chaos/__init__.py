"""The chaos suite: faults are injected into the real platform under a steady load, and every row is checked afterwards.

`catalogue` lists the faults, `engine` injects and measures them, `row_checks` counts rows, `report` prints. Run by `make chaos`.
"""
