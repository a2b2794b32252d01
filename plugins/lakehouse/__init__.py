"""The platform's Python code: how things are done. `include/` declares what, `dags/` when."""
