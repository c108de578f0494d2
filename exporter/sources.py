"""What collectors are built from."""

from typing import NamedTuple

from exporter.scraped import ScrapedQueues
from exporter.settings import Settings
from exporter.sysv.names import QueueNames
from exporter.sysv.reader import QueueReader


class Sources(NamedTuple):
    """The settings, and the kernel's queues: `reader` reads them whenever it is asked, `queues` once a scrape."""

    settings: Settings
    reader: QueueReader
    names: QueueNames
    queues: ScrapedQueues


def sources(settings: Settings) -> Sources:
    """From the settings alone; nothing is read yet."""
    reader = QueueReader(settings.procfs)
    names = QueueNames(settings.config.queue_names)
    return Sources(settings, reader, names, ScrapedQueues(reader, names, settings.queues))
