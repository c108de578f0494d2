"""Prometheus exporter for the System V message queues of an OpenVPN host."""

__version__ = "0.1.0"
