"""Metric families, and the pages of text that Prometheus reads."""
