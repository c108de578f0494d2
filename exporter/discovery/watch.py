"""Discovery: looks at the host again and again, and tells when the servers to watch have changed."""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from operator import attrgetter
from typing import Final

from exporter.background import STOP_WITHIN, BackgroundThread
from exporter.config.model import Config, OpenVpnServer
from exporter.discovery.access import accesses
from exporter.discovery.expiry import expiries
from exporter.discovery.finder import Finder
from exporter.discovery.found import Found
from exporter.discovery.instance import Instance
from exporter.discovery.processes import HiddenError
from exporter.discovery.servers import MOST, most_trusted, named_as_configured, to_server
from exporter.discovery.shared import mark_shared
from exporter.logs import StateLog
from exporter.sysv.ids import user_name

_log = logging.getLogger(__name__)

INTERVAL: Final = 60.0  # seconds between two looks
KEEP: Final = 3600.0  # seconds for which a server that has ended is watched: it may start again, or should have
_HANGS: Final = 120.0  # seconds after which a look counts as hanging
_REST: Final = 1.0  # seconds after which a look that was asked for begins at the latest


class Discovery:
    """What runs, as of the last look; any thread may ask."""

    def __init__(
        self, finder: Finder, config: Config, *, enabled: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`config`: the file's, which may name servers itself."""
        self._finder = finder
        self._config = config
        self._handed_on = config
        self._enabled = enabled
        self._clock = clock
        self._last_seen: dict[str, tuple[float, OpenVpnServer]] = {}
        self._in_services: set[str] = set()  # names of servers that the system's own manager ran
        self._found: Found | None = None
        self._looking_since: float | None = None
        self._due = 0.0
        self._on_change: Callable[[Config], None] | None = None  # None before the start
        self._state_log = StateLog(_log)
        self._finding = threading.Lock()
        self._adopting = threading.Lock()  # so that a look of before cannot undo what a reload has brought
        self._first_look = threading.Event()
        self._thread = BackgroundThread("discovery", self._round)

    @property
    def enabled(self) -> bool:
        """Whether it looks at all."""
        return self._enabled

    @property
    def servers_are_named(self) -> bool:
        """Whether the configuration file names the servers."""
        return bool(self._config.servers)

    @property
    def found(self) -> Found | None:
        """The last look; None before the first one has ended."""
        return self._found

    @property
    def fault(self) -> str | None:
        """Why the last look failed, or may have missed something."""
        hanging = self._clock() - self._looking_since if self._looking_since is not None else 0.0
        if hanging > _HANGS:
            return f"the look for OpenVPN instances has been waiting for {hanging:.0f} s: a file system does not answer"
        return self._thread.fault or (self._found.problem if self._found else None)

    def start(self, on_change: Callable[[Config], None]) -> None:
        """Look now and every minute; `on_change` gets each configuration that differs from the one before."""
        with self._adopting:
            self._on_change = on_change
            self._hand_on_news()  # what was adopted before
        if self._enabled:
            self._thread.start()

    def wait_for_first_look(self, seconds: float) -> bool:
        """Wait until what runs has been found and handed on; return False if that takes longer."""
        return not self._enabled or self._first_look.wait(seconds)

    def stop(self, within: float = STOP_WITHIN) -> None:
        """Stop looking; leave behind a look that takes longer than `within` seconds."""
        self._thread.stop(within)

    def hurry(self) -> None:
        """Look again within a second: an OpenVPN has come or gone."""
        self._due = 0.0

    def find(self) -> list[Instance]:
        """Look for instances only; their names are those of every other look. Raise HiddenError or OSError."""
        with self._finding:
            return self._finder.find()

    def adopt(self, config: Config) -> None:
        """Take a new configuration file, and hand it on with what was found: servers, or the hooks of its own."""
        with self._adopting:
            self._config = config
            self._hand_on()
        self.hurry()

    def look(self) -> Config:
        """Look once, without a word in the log; return the configuration with what was found."""
        before = {server.name: server for server in self._found.servers} if self._found else {}
        instances: tuple[Instance, ...] = ()
        problem = None
        try:
            instances = tuple(named_as_configured(self.find(), self._config.servers))
        except HiddenError as error:
            problem = f"{error}: mount it without, or name `servers` in the configuration"
        except OSError as error:
            problem = f"cannot look for OpenVPN: {error}"
        polled = self._config.discovery.management
        tried = mark_shared(
            instances, {instance.name: tuple(accesses(instance, polled=polled)) for instance in instances}
        )
        servers = tuple(
            to_server(instance, tried[instance.name], before.get(instance.name), management=polled)
            for instance in instances
            if instance.mode in ("server", "unknown")
        )
        ended = self._ended(servers, {instance.name for instance in instances}) if problem is None else {}
        kept = ended if problem is None else before
        found_in_services = {instance.name for instance in instances if instance.is_service}
        self._in_services = found_in_services | (self._in_services & kept.keys())
        everything = [*servers, *kept.values()]
        # Sorted, so that an order that changes does not look like servers that change.
        chosen = sorted(most_trusted(everything, self._in_services), key=attrgetter("name"))
        watched = {server.name: server for server in chosen}
        self._last_seen = {name: seen for name, seen in self._last_seen.items() if name in watched}
        self._found = Found(
            instances,
            tried,
            tuple(expiries(instances, time.time())),
            tuple(watched.values()),
            tuple(name for name in ended if name in watched),
            len(everything) - len(watched),
            problem,
        )
        return self._complete()

    def _ended(self, servers: Sequence[OpenVpnServer], running: AbstractSet[str]) -> dict[str, OpenVpnServer]:
        """Return the servers that ran less than an hour ago, and none of `running`, the names of all instances, now."""
        now = self._clock()
        ended = {
            name: (seen, server)
            for name, (seen, server) in self._last_seen.items()
            if now - seen < KEEP and name not in running
        }
        self._last_seen = ended | {server.name: (now, server) for server in servers}
        return {name: server for name, (_, server) in ended.items()}

    def _complete(self) -> Config:
        if self._found is None or not self._enabled:
            return self._config
        if self._config.servers:
            hooks = {instance.name: instance.script_hooks for instance in self._found.instances}
            servers = (replace(server, script_hooks=hooks.get(server.name)) for server in self._config.servers)
            return replace(self._config, servers=tuple(servers))
        return replace(self._config, servers=self._found.servers)

    def _hand_on(self) -> None:
        if self._on_change:
            self._handed_on = self._complete()
            self._on_change(self._handed_on)

    def _hand_on_news(self) -> None:
        if self._complete() != self._handed_on:
            self._hand_on()

    def _round(self) -> float:
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + INTERVAL
            self._looking_since = self._clock()
            self.look()
            self._looking_since = None
            self.report()
            with self._adopting:
                self._hand_on_news()
            self._first_look.set()
        return _REST

    def report(self) -> None:
        """Log what the last look could not read, if that is new."""
        found = self._found or Found()
        if found.unwatched:
            what = f"there are more than {MOST} OpenVPN servers; the others are not watched"
            self._state_log.problem("many", f"{what}: name those that matter as `servers` in the configuration")
        else:
            self._state_log.resolved("many", "every OpenVPN server is watched again")
        for instance in found.instances:
            denied = [access for access in found.accesses[instance.name] if access.is_unreadable]
            topic = f"{instance.name} unreadable"
            if denied:
                what = "; ".join(f"{access.source.name}: {access.reason}" for access in denied)
                message = (
                    f"OpenVPN {instance.name!r}: not everything can be read: {what}. "
                    f"For the remedy, run as root: openvpn-mq-check --as {user_name(os.geteuid())}"
                )
                self._state_log.problem(topic, message, server=instance.name)
            else:
                self._state_log.resolved(topic, f"OpenVPN {instance.name!r}: everything can be read now")
