"""The platform's own Python: hooks, operators, notifiers, and what they share. The DAGs say when, this says how."""
