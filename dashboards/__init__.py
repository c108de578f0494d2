"""Grafana dashboards, as Python that builds them; Prometheus and Alertmanager files beside it."""
