"""Reading all configuration again while running; if it is broken, the old one stays in force, with a log line."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from exporter.config.model import Config
from exporter.errors import BadInputError
from exporter.exposition.families import Family, Metric
from exporter.logs import StateLog
from exporter.web.live import LiveWebConfig

T = TypeVar("T")

_log = logging.getLogger(__name__)

_WATCH_INTERVAL: Final = 1.0  # seconds between two looks at the web configuration's files

SUCCESSFUL: Final = Metric(
    "openvpn_mq_exporter_config_last_reload_successful",
    "gauge",
    "1 if the configuration and the web configuration were good when they were last read, else 0: then those that were "
    "read before are in force.",
)
SUCCESS_TIME: Final = Metric(
    "openvpn_mq_exporter_config_last_reload_success_timestamp_seconds",
    "gauge",
    "When the configuration was last read and found good.",
)


class Reloader:
    """Reads the configuration and the web configuration when asked, and the latter when its files change.

    Any thread may call it; one call runs at a time.
    """

    def __init__(self, read: Callable[[], Config], adopt: Callable[[Config], None], web: LiveWebConfig) -> None:
        """`read` raises BadInputError if the file is broken; `adopt` puts its result into force."""
        self._read = read
        self._adopt = adopt
        self._web = web
        self._lock = threading.Lock()
        self._state_log = StateLog(_log)
        self._config_fault: str | None = None
        self._web_fault: str | None = None
        self._doubtful = False  # the web configuration's files did not go together at the last look
        self._good_since = time.time()

    def reload(self) -> str | None:
        """Read everything and put it into force; if any of it is broken, none of it, and return what is wrong."""
        with self._lock:
            config, self._config_fault = _attempt(self._read)
            state, self._web_fault = _attempt(self._web.read)
            if config is None or state is None:
                reason = self._config_fault or self._web_fault
                _log.error("configuration not reloaded: %s; the old one stays in force", reason)
                return reason
            self._web.apply(state)
            self._adopt(config)
            self._good_since = time.time()
            _log.info("configuration reloaded")
            return None

    def watch(self) -> float:
        """Read the web configuration again if its files have changed; return the seconds to rest until the next look.

        A certificate and its key are two files that are replaced one after the other: a fault counts when it is still
        there at the second look.
        """
        with self._lock:
            state, fault = _attempt(self._web.read)
            if state is not None:
                self._web.apply(state)
                self._state_log.resolved("web", "the web configuration is good again")
                if self._web_fault:
                    self._good_since = time.time()
                self._web_fault = None
            elif self._doubtful:
                self._web_fault = fault
                self._state_log.problem("web", f"web configuration: {fault}; the old one stays in force")
            self._doubtful = state is None
        return _WATCH_INTERVAL

    def families(self) -> list[Family]:
        """Return how the last reading went."""
        good = not (self._config_fault or self._web_fault)
        return [SUCCESSFUL.family([int(good)]), SUCCESS_TIME.family([self._good_since])]


def _attempt(read: Callable[[], T]) -> tuple[T | None, str | None]:
    """Return what was read, or what is wrong with it."""
    try:
        return read(), None
    except BadInputError as error:
        return None, str(error)
    except Exception as error:  # noqa: BLE001  # logged whole; a reload must not end the exporter
        _log.exception("cannot read the configuration")
        return None, f"{type(error).__name__}: {error}"
