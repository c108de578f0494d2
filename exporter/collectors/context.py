"""What collectors are built from."""

from typing import NamedTuple

from exporter.collectors.snapshot import ScrapedQueues
from exporter.config.model import Settings
from exporter.sysv.names import QueueNames
from exporter.sysv.reader import QueueReader


class BuildContext(NamedTuple):
    """The settings, and the kernel's queues: `reader` reads them whenever it is asked, `queues` once a scrape."""

    settings: Settings
    reader: QueueReader
    names: QueueNames
    queues: ScrapedQueues


def build_context(settings: Settings) -> BuildContext:
    """From the settings alone; nothing is read yet."""
    reader = QueueReader(settings.procfs)
    names = QueueNames(settings.config.queue_names)
    return BuildContext(settings, reader, names, ScrapedQueues(reader, names, settings.queues))
