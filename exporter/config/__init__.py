"""The flags and the configuration file, read into frozen dataclasses."""
