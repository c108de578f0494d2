"""What collectors are built from."""

from typing import NamedTuple

from exporter.config.model import Settings
from exporter.sysv.names import QueueNames
from exporter.sysv.reader import QueueReader


class BuildContext(NamedTuple):
    """The settings, and the kernel's queues with their names, which several collectors share."""

    settings: Settings
    reader: QueueReader
    names: QueueNames


def build_context(settings: Settings) -> BuildContext:
    """Build the context from the settings alone; nothing is read yet."""
    return BuildContext(settings, QueueReader(settings.procfs), QueueNames(settings.config.queue_names))
