"""Asks a Prometheus what Grafana would ask it."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import requests

from tests.support.boards import Document, substituted
from tests.support.prometheus import Prometheus

T = TypeVar("T")


class Site(NamedTuple):
    """A Prometheus, since when it knows what there is to know, and what the dashboards' variables can be."""

    server: Prometheus
    begin: float
    choices: dict[str, str]

    def answers(self, panel: Document, target: Document, variables: dict[str, str]) -> list[dict[str, Any]]:
        """What Grafana would get for a panel's query: a point in time, or the whole time range."""
        now = time.time()
        whole = f"{max(int(now - self.begin), 10)}s"
        query = substituted(target["expr"], variables, window="8s", whole=whole)
        parameters: dict[str, str | float] = {"query": query}
        if target["range"]:
            parameters |= {"start": self.begin, "end": now, "step": 2}
        path = "query_range" if target["range"] else "query"
        answer = requests.get(f"{self.server.url}/api/v1/{path}", params=parameters, timeout=60).json()
        assert answer["status"] == "success", (query, answer)
        assert "warnings" not in answer, (query, answer)
        return list(answer["data"]["result"])


def everything() -> dict[str, str]:
    """All of every variable chosen, as the dashboards are opened."""
    return {"cluster": ".*", **dict.fromkeys(("job", "instance", "queue", "server"), ".+")}


def last(series: dict[str, Any]) -> float:
    """The value that a panel shows of a series: that of the moment, or the last of the time range."""
    value = series["value"] if "value" in series else series["values"][-1]
    return float(value[1])


def until_alike(ask: Callable[[], tuple[T, T]], patience: float) -> tuple[T, T]:
    """Two servers' answers, asked for until they are equal, or the last ones: what is new is in one of them first."""
    deadline = time.monotonic() + patience
    one, other = ask()
    while one != other and time.monotonic() < deadline:
        time.sleep(1)
        one, other = ask()
    return one, other
