"""Builds the packages for Debian and for RPM-based distributions; not part of what is installed."""
