"""What must be there before the services (`prepare`), and what only running services can be given (`grant`).

Each may run again at any time: what is there and good stays.
"""
