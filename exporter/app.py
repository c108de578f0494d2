"""The daemon: its parts put together, started, and stopped by a signal."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import BinaryIO, Final

import exporter
from exporter.background import BackgroundThread
from exporter.collectors.context import BuildContext, build_context
from exporter.collectors.process import ProcessMetrics, revision
from exporter.collectors.registry import build_all
from exporter.collectors.runner import Runner
from exporter.collectors.snapshot import QueueSettings, SnapshotReader
from exporter.config.model import Config, Settings
from exporter.exposition.pages import Format, Gathered, Pages, Query, render
from exporter.exposition.render import Renderer
from exporter.signals import Signals, handle_signals, stop_within
from exporter.web.accounting import RequestAccounting
from exporter.web.handler import Endpoints, Handler
from exporter.web.landing import landing_page
from exporter.web.listen import listen
from exporter.web.live import LiveWebConfig
from exporter.web.overview import overview
from exporter.web.reload import Reloader
from exporter.web.selfscrape import scrape
from exporter.web.server import Server
from exporter.web.systemd import activated_listeners, notify, notify_reloading, watchdog
from exporter.web.tls import CERTIFICATE_EXPIRY

_log = logging.getLogger(__name__)

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
_STOP_WITHIN: Final = 3.0  # seconds; then the kernel ends the process
_CLEAN_STOP: Final = 2.5  # seconds until the exporter itself gives up, with a log line
_ANSWERS: Final = 1.2  # of them, for answers under way
_DISCOVERY: Final = 0.2  # and for a look at the host's processes; only the collectors have something to save
_FIRST_LOOK: Final = 2.0  # seconds for discovery before the first scrape is served
_LANDING_AGE: Final = 60.0  # seconds; a gathering that is younger will do for the landing page


class App:
    """Collectors behind a web server."""

    def __init__(self, settings: Settings, read_config: Callable[[], Config]) -> None:
        """Build all parts; no port is open yet. `read_config` reads the configuration file again, for a reload.

        Raises BadInputError if the web configuration is broken.
        """
        self._settings = settings
        self._config = settings.config
        self._live = LiveWebConfig(settings.web_config_file)
        self._accounting = RequestAccounting(settings.max_requests)
        self._process = ProcessMetrics(settings.procfs, library=settings.exporter_metrics)
        context = build_context(settings)
        self._names = context.names
        self._discovery = context.discovery
        self._runner = build_runner(context)
        self._reloader = Reloader(read_config, self._discovery.adopt, self._live)
        self._web_watch = BackgroundThread("web config", self._reloader.watch)
        self._pages = Pages(self._gather)
        self._server: Server | None = None
        self._watchdog: BackgroundThread | None = None
        self._is_stopping = False

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises RefusedError if an address cannot be listened on."""
        with handle_signals([*_STOPPING, signal.SIGHUP]) as signals:
            try:
                self._serve(signals)
            finally:
                with stop_within(_STOP_WITHIN, _STOPPING):
                    try:
                        signals.in_background("stop", self._stop).result(_CLEAN_STOP)
                    except RuntimeError:  # the system allows no further thread
                        self._stop()
                    except TimeoutError:
                        _log.warning("not everything could be stopped in time; the log lines read last may be lost")
                        os._exit(1)  # an ordinary exit might wait for what hangs

    def _serve(self, signals: Signals) -> None:
        starting = signals.in_background("start", self._start)
        while (number := signals.next()) not in _STOPPING:
            if number == signal.SIGHUP:
                signals.in_background("reload", self._reload)
            elif starting.done():
                starting.result()  # raises what the start raised
        self._is_stopping = True

    def _start(self) -> None:
        if self._settings.systemd_socket:
            listeners = activated_listeners(os.environ)
        else:
            listeners = []
            for address in self._settings.listen:
                listeners.append(listen(address))
        endpoints = Endpoints(
            self._settings.telemetry_path,
            self._pages,
            lambda: self._runner.all_names,
            self._landing,
            self._reload,
            lambda: not self._is_stopping,
        )
        self._server = Server(listeners, Handler(endpoints, self._live, self._accounting), self._live)
        fields = {"version": exporter.__version__, "collectors": ",".join(self._runner.names)}
        _log.info("starting", extra={"fields": fields})
        self._runner.start()
        self._discovery.start(self._adopt)
        # So that the first scrape has every collector; a file system that hangs holds the start up no longer.
        self._discovery.wait_for_first_look(_FIRST_LOOK)
        self._server.start()
        if self._settings.web_config_file:
            self._web_watch.start()
        notify("READY=1", "STATUS=serving")
        self._watchdog = watchdog(partial(scrape, self._server.connect, self._settings.telemetry_path))
        if self._watchdog:
            self._watchdog.start()

    def _stop(self) -> None:
        deadline = time.monotonic() + _CLEAN_STOP - 0.1
        if self._is_stopping:
            _log.info("stopping")
            notify("STOPPING=1")
        for thread in filter(None, (self._watchdog, self._web_watch)):
            thread.request_stop()
        if self._server:
            self._server.stop(_ANSWERS)
        self._discovery.stop(_DISCOVERY)
        self._runner.stop(deadline - time.monotonic())  # at least a second, and more if nothing else hung

    def _reload(self) -> str | None:
        notify_reloading()
        try:
            return self._reloader.reload()
        finally:
            notify("READY=1")

    def _adopt(self, config: Config) -> None:
        """Take a configuration that discovery has completed."""
        self._config = config
        self._names.rename(config.queue_names)
        self._runner.reconfigure(config)

    def _gather(self, query: Query) -> Gathered:
        gathered = [
            *self._runner.gather(query.collectors, query.timeout),
            *self._process.collect(),
            *self._reloader.families(),
        ]
        if tls := self._live.current.tls:
            gathered.append(CERTIFICATE_EXPIRY.family([tls.expiry]))
        if self._settings.exporter_metrics:
            gathered += self._accounting.collect()
        return gathered

    def _landing(self) -> bytes:
        gathered = self._pages.gathered(_LANDING_AGE).items
        view = overview(gathered, [server.name for server in self._config.servers])
        return landing_page(view, self._settings.telemetry_path, exporter.__version__, revision())


def build_runner(context: BuildContext) -> Runner:
    """Build all collectors that the settings ask for, ready to start."""
    snapshots = SnapshotReader(context.reader, context.names, context.settings.of(QueueSettings))
    return Runner(build_all(context), snapshots.scrape)


def print_once(settings: Settings, out: BinaryIO) -> None:
    """Read every source once and write the text; for node_exporter's textfile collector, or a user.

    The metrics of this short-lived process are left out: node_exporter has series of those names itself.
    """
    context = build_context(settings)
    if settings.discovery:
        context = context._replace(settings=replace(settings, config=context.discovery.look()))
    once = build_runner(context)
    once.start()
    try:
        out.writelines(render(once.gather(), Format.TEXT, Renderer()))
        out.flush()
    except BrokenPipeError:
        # `--once | head`: the reader has seen enough. Python would complain again when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        once.stop()
