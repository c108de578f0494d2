"""What the landing page shows, picked out of a gathering by the names of metrics. Pure."""

import heapq
import math
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from exporter.exposition.families import Family
from exporter.exposition.pages import Gathered

_MAX_QUEUES: Final = 10
_MAX_SERVERS: Final = 50

Samples = dict[tuple[str, ...], float]


class CollectorRow(NamedTuple):
    """A collector, as of the last scrape."""

    name: str
    is_well: bool
    seconds: float


class QueueRow(NamedTuple):
    """A queue; `limit` and `fill` are None if the limit is not known."""

    name: str
    messages: float
    size: float  # bytes
    limit: float | None  # bytes
    fill: float | None  # ratio


class ServerRow(NamedTuple):
    """An OpenVPN server; what is None is not watched, or not known."""

    name: str
    management_up: bool | None
    status: str | None  # of its status file
    clients: float | None


class Overview(NamedTuple):
    """The page's three tables."""

    collectors: list[CollectorRow]
    queues: list[QueueRow]
    queue_count: float | None  # of all queues, those without series of their own included
    servers: list[ServerRow]


def overview(gathered: Gathered, servers: Iterable[str]) -> Overview:
    """Pick the tables out; `servers`: the names of the configured servers."""
    wanted = _pick(gathered)
    success = wanted["openvpn_mq_scrape_collector_success"]
    seconds = wanted["openvpn_mq_scrape_collector_duration_seconds"]
    return Overview(
        [CollectorRow(key[0], value == 1, seconds.get(key, math.nan)) for key, value in success.items()],
        _fullest(wanted),
        wanted["sysv_msg_queues"].get(()),
        [_server(name, wanted) for name in sorted(servers)[:_MAX_SERVERS]],
    )


# By metric, the labels that tell its samples apart.
_LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    "openvpn_mq_scrape_collector_success": ("collector",),
    "openvpn_mq_scrape_collector_duration_seconds": ("collector",),
    "sysv_msg_queues": (),
    "sysv_msg_queue_bytes": ("queue",),
    "sysv_msg_queue_messages": ("queue",),
    "sysv_msg_queue_limit_bytes": ("queue",),
    "openvpn_management_up": ("server",),
    "openvpn_status_state": ("server", "state"),
    "openvpn_server_connected_clients": ("server",),
}


def _pick(gathered: Gathered) -> dict[str, Samples]:
    found: dict[str, Samples] = {name: {} for name in _LABELS}
    for item in gathered:
        if isinstance(item, Family):
            if item.metric.name in found:
                columns = [item.columns[item.metric.labels.index(label)] for label in _LABELS[item.metric.name]]
                keys = zip(*columns, strict=True) if columns else [()]
                found[item.metric.name].update(zip(keys, item.values, strict=True))
        elif item.name in found:
            for sample in item.samples:
                found[item.name][tuple(sample.labels[label] for label in _LABELS[item.name])] = sample.value
    return found


def _fullest(wanted: Mapping[str, Samples]) -> list[QueueRow]:
    rows = (_queue(key, size, wanted) for key, size in wanted["sysv_msg_queue_bytes"].items())
    return heapq.nlargest(_MAX_QUEUES, rows, key=lambda row: (row.fill or 0, row.size, row.messages))


def _queue(key: tuple[str, ...], size: float, wanted: Mapping[str, Samples]) -> QueueRow:
    messages = wanted["sysv_msg_queue_messages"].get(key, 0)
    limit = wanted["sysv_msg_queue_limit_bytes"].get(key)
    fill = None
    if limit is not None:  # the kernel refuses a message when bytes or messages would pass it
        fill = max(size, messages) / limit if limit else 1.0
    return QueueRow(key[0], messages, size, limit, fill)


def _server(name: str, wanted: Mapping[str, Samples]) -> ServerRow:
    up = wanted["openvpn_management_up"].get((name,))
    states = [key[1] for key, value in wanted["openvpn_status_state"].items() if key[0] == name and value == 1]
    clients = wanted["openvpn_server_connected_clients"].get((name,))
    return ServerRow(name, None if up is None else up == 1, states[0] if states else None, clients)
