"""What collectors are built from."""

from typing import NamedTuple

from exporter.config.model import Settings
from exporter.discovery.finder import Finder
from exporter.discovery.watch import Discovery
from exporter.sysv.names import QueueNames
from exporter.sysv.reader import QueueReader


class BuildContext(NamedTuple):
    """The settings, and what several collectors share: the kernel's queues, their names, the OpenVPN instances."""

    settings: Settings
    reader: QueueReader
    names: QueueNames
    discovery: Discovery


def build_context(settings: Settings) -> BuildContext:
    """Build the context from the settings alone; nothing is read yet."""
    return BuildContext(
        settings,
        QueueReader(settings.procfs),
        QueueNames(settings.config.queue_names),
        Discovery(Finder(settings.procfs), settings.config, enabled=settings.discovery),
    )
