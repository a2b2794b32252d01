"""The chaos suite: faults are struck on the real platform under a steady load, and every row is counted afterwards.

`catalogue` says what is done, `engine` strikes and measures, `judge` counts, `report` tells; `python -m chaos` is `make chaos`.
"""
