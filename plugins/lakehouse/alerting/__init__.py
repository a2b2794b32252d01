"""Alerts: which rules are broken and for how long, notifications, and the same figures for Prometheus."""
