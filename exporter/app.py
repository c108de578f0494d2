"""The daemon: its parts put together, started, and stopped by a signal."""

import logging
import os
import signal
import sys
from dataclasses import replace
from functools import partial
from typing import BinaryIO, Final

import exporter
from exporter.collectors.context import BuildContext, build_context
from exporter.collectors.process import SelfMetrics
from exporter.collectors.registry import build_all
from exporter.collectors.runner import Runner
from exporter.collectors.snapshot import QueueSettings, SnapshotReader
from exporter.config.model import Config, Settings
from exporter.exposition.pages import Format, Gathered, Pages, render
from exporter.exposition.render import Renderer
from exporter.signals import Signals, handle_signals, stop_within
from exporter.web.handler import Site, compress
from exporter.web.landing import landing_page
from exporter.web.server import Server

_log = logging.getLogger(__name__)

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
_STOP_WITHIN: Final = 3.0  # seconds; then the kernel ends the process
_CLEAN_STOP: Final = 2.5  # seconds until the exporter itself gives up, with a log line
_ANSWERS: Final = 1.4  # of them, for answers under way


class App:
    """Collectors behind a web server."""

    def __init__(self, settings: Settings) -> None:
        """Build all parts. The state directory is made if need be; no port is open yet."""
        self._settings = settings
        self._self_metrics = SelfMetrics(settings.procfs, exporter_metrics=settings.exporter_metrics)
        context = build_context(settings)
        self._discovery = context.discovery
        self._runner = runner(context)
        self._servers: list[Server] = []
        self._asked_to_stop = False

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises RefusedError where an address cannot be listened on."""
        site = Site(
            self._settings.telemetry_path,
            landing_page(self._settings.telemetry_path, exporter.__version__),
            Pages(self._gather, compress),
            self._self_metrics,
        )
        with handle_signals([*_STOPPING, signal.SIGHUP]) as signals:
            try:
                self._serve(signals, site)
            finally:
                with stop_within(_STOP_WITHIN, _STOPPING):
                    try:
                        signals.in_background("stop", self._stop).result(_CLEAN_STOP)
                    except TimeoutError:
                        _log.warning("not everything could be stopped in time; the log lines read last may be lost")
                        os._exit(1)  # an ordinary exit might wait for what hangs

    def _serve(self, signals: Signals, site: Site) -> None:
        starting = signals.in_background("start", partial(self._start, site))
        while (number := signals.next()) not in _STOPPING:
            if number == signal.SIGHUP:
                _log.warning("SIGHUP is ignored: restart the exporter to apply a changed configuration")
            elif starting.done():
                starting.result()  # raises what the start raised
        self._asked_to_stop = True

    def _start(self, site: Site) -> None:
        for address in self._settings.listen:
            self._servers.append(Server(address, site))
        fields = {"version": exporter.__version__, "collectors": ",".join(self._runner.names)}
        _log.info("starting", extra={"fields": fields})
        self._runner.start()
        self._discovery.start(self._runner.reconfigure)
        for server in self._servers:
            server.start()

    def _stop(self) -> None:
        if self._asked_to_stop:
            _log.info("stopping")
        for server in self._servers:
            server.stop()
        self._discovery.stop()
        self._self_metrics.wait_idle(_ANSWERS)
        self._runner.stop()

    def reconfigure(self, config: Config) -> None:
        """Adopt a new configuration file while running. Any thread may call it."""
        self._runner.reconfigure(self._discovery.completed(config))

    def _gather(self) -> Gathered:
        return [*self._runner.gather(), *self._self_metrics.families(), *self._self_metrics.client_metrics()]


def runner(context: BuildContext) -> Runner:
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
    once = runner(context)
    once.start()
    try:
        out.writelines(render(once.gather(), Format.TEXT, Renderer()))
        out.flush()
    except BrokenPipeError:
        # `--once | head`: the reader has seen enough. Python would complain again when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        once.stop()
