"""Alerts: which rule is broken and for how long, who is notified of it, and the same figures for Prometheus."""
