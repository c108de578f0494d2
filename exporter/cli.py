"""The command line of openvpn-mq-exporter."""

import argparse
import dataclasses
import logging
import platform
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn, TypeVar

import exporter
from exporter import logs
from exporter.app import App, print_once
from exporter.collectors.process import revision
from exporter.collectors.registry import COLLECTORS
from exporter.config import load as config_load
from exporter.config.durations import parse_duration
from exporter.config.model import Address, Config, OpenVpnServer, QueueSettings, Settings, TraceSettings
from exporter.errors import BadInputError, RefusedError
from exporter.sysv.sysctl import PROFILES

T = TypeVar("T")

PROGRAM: Final = "openvpn-mq-exporter"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status: 0, 2 where the input is wrong, 1 where the system refuses."""
    try:
        options = _parser().parse_args(argv)
        logs.set_up(options.log_level, options.log_format)
        settings = _settings(options)
        if options.config_check:
            print(f"{options.config_file or 'no configuration file'}: good")
        elif options.once:
            print_once(settings, sys.stdout.buffer)
        else:
            App(settings).run()
    except (BadInputError, RefusedError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    finally:
        logging.shutdown()
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInputError(f"{message}; --help shows all flags")


def _value(read: Callable[[str], T]) -> Callable[[str], T]:
    """Make argparse show the sentence of a ValueError, which it swallows otherwise."""

    def convert(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def _parser() -> argparse.ArgumentParser:
    version = f"{PROGRAM} {exporter.__version__} (revision {revision()}, Python {platform.python_version()})"
    parser = _Parser(
        prog=PROGRAM,
        description="Prometheus exporter for the System V message queues of an OpenVPN host.",
        allow_abbrev=False,
    )
    queues = QueueSettings()
    web = parser.add_argument_group("web")
    web.add_argument(
        "--web.listen-address", dest="listen", metavar="HOST:PORT", action="append", type=_value(_address),
        help="where to listen; may be given several times; IPv6 as [::1]:10049 (default :10049)",
    )  # fmt: skip  # one line of arguments and one of help, here and below
    web.add_argument(
        "--web.telemetry-path", dest="telemetry_path", metavar="PATH", default="/metrics", type=_value(_url_path),
        help="where the metrics are served (default %(default)s)",
    )  # fmt: skip
    web.add_argument(
        "--web.disable-exporter-metrics", dest="exporter_metrics", action="store_false",
        help="leave out promhttp_*, process_* and python_info, which speak of the exporter itself",
    )  # fmt: skip

    collectors = parser.add_argument_group("collectors")
    collectors.add_argument(
        "--collector.disable-defaults", dest="collector_defaults", action="store_false",
        help="only the collectors that are switched on by their own flag",
    )  # fmt: skip
    for spec in COLLECTORS:
        collectors.add_argument(
            f"--collector.{spec.name}", dest=f"collector {spec.name}", action=argparse.BooleanOptionalAction,
            help=f"{spec.summary} (default {'on' if spec.default else 'off'})",
        )  # fmt: skip
    collectors.add_argument(
        "--collector.queues.include", dest="include", metavar="REGEX", type=_value(_regex),
        help="only queues whose label matches as a whole",
    )  # fmt: skip
    collectors.add_argument(
        "--collector.queues.exclude", dest="exclude", metavar="REGEX", type=_value(_regex),
        help="no queues whose label matches as a whole",
    )  # fmt: skip
    collectors.add_argument(
        "--collector.queues.max-series", dest="max_series", metavar="N", type=_value(_count),
        default=queues.max_series,
        help="most queues with series of their own, the fullest ones; 0 = no limit (default %(default)s)",
    )  # fmt: skip
    collectors.add_argument(
        "--collector.queues.sample-interval", dest="sample_interval", metavar="DURATION",
        type=_value(parse_duration), default=queues.sample_interval,
        help="how often queues are read between scrapes, for their peaks (default 1s)",
    )  # fmt: skip
    collectors.add_argument(
        "--collector.queues.peak-window", dest="peak_window", metavar="DURATION",
        type=_value(parse_duration), default=queues.peak_window,
        help="how far back a peak may lie (default 60s)",
    )  # fmt: skip
    collectors.add_argument(
        "--collector.limits.profile", dest="limits_profile", choices=list(PROFILES), default="small",
        help="recommended sysctls: small = msgmnb 16384, msgmax 8192; large = 65536, 16384, msgmni 32000; "
        "none (default %(default)s)",
    )  # fmt: skip

    openvpn = parser.add_argument_group("OpenVPN")
    openvpn.add_argument(
        "--openvpn.log", dest="logs", metavar="PATH", action="append", type=Path, default=[],
        help="a server's log, where the configuration names no servers; may be given several times; the server is "
        "named as the file is, without its suffix",
    )  # fmt: skip
    openvpn.add_argument(
        "--state.directory", dest="state_directory", metavar="PATH", type=Path,
        help="where to remember up to where logs have been read, so that a restart neither loses nor repeats a line",
    )  # fmt: skip

    trace = parser.add_argument_group("trace")
    trace.add_argument(
        "--trace.input", dest="trace_input", metavar="PATH", type=Path,
        help="named pipe (or file) that openvpn-mq-trace.service writes to; without it, bpftrace is run as a child",
    )  # fmt: skip
    trace.add_argument(
        "--trace.max-queues", dest="trace_max_queues", metavar="N", type=_value(_trace_bound),
        default=TraceSettings().max_queues,
        help="most queues that are counted, and most threads inside msgsnd or msgrcv (default %(default)s)",
    )  # fmt: skip

    parser.add_argument(
        "--config.file", dest="config_file", metavar="PATH", type=Path,
        help="YAML configuration; the exporter runs without one",
    )  # fmt: skip
    parser.add_argument("--config.check", dest="config_check", action="store_true", help="check the input and exit")
    parser.add_argument(
        "--path.procfs", dest="procfs", metavar="PATH", type=Path, default=Path("/proc"),
        help="where /proc is mounted (default %(default)s)",
    )  # fmt: skip
    parser.add_argument("--once", action="store_true", help="print the metrics once to standard output, and exit")
    parser.add_argument("--log.level", dest="log_level", choices=logs.LEVELS, default="info", help="(default info)")
    parser.add_argument(
        "--log.format", dest="log_format", choices=logs.FORMATS, default="logfmt", help="(default logfmt)"
    )
    parser.add_argument("--version", action="version", version=version)
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    config = config_load.load(options.config_file) if options.config_file else Config()
    if options.logs:
        config = dataclasses.replace(config, servers=_servers(config, options.logs))
    switched = {spec.name: getattr(options, f"collector {spec.name}") for spec in COLLECTORS}
    return Settings(
        config=config,
        listen=tuple(options.listen or [Address("", 10049)]),
        telemetry_path=options.telemetry_path,
        exporter_metrics=options.exporter_metrics,
        collectors={name: on for name, on in switched.items() if on is not None},
        collector_defaults=options.collector_defaults,
        queues=QueueSettings(
            include=options.include,
            exclude=options.exclude,
            max_series=options.max_series,
            sample_interval=options.sample_interval,
            peak_window=options.peak_window,
        ),
        limits_profile=options.limits_profile,
        state_directory=options.state_directory,
        trace=TraceSettings(options.trace_input, options.trace_max_queues),
        procfs=options.procfs,
        once=options.once,
    )


def _servers(config: Config, logs: Sequence[Path]) -> tuple[OpenVpnServer, ...]:
    if config.servers:
        raise BadInputError("--openvpn.log goes without servers in the configuration file; give the log there")
    names = [path.stem for path in logs]
    for name in names:
        if names.count(name) > 1:
            raise BadInputError(f"two files of --openvpn.log would be server {name!r}; name them in a --config.file")
    return tuple(OpenVpnServer(path.stem, log=path.absolute()) for path in logs)


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not port.isascii() or not port.isdigit() or (":" in bare and bare == host):
        raise ValueError(f"{text!r} is not an address; write it as :10049, 127.0.0.1:10049 or [::1]:10049")
    if int(port) > 65535:
        raise ValueError(f"{text!r} has a port above 65535")
    return Address(bare, int(port))


def _url_path(text: str) -> str:
    if not re.fullmatch(r"/[!-~]*", text) or re.search(r"[?#]", text):
        raise ValueError(f"{text!r} is not a path; it starts with a slash, as /metrics does")
    return text


def _regex(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from None


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{text!r} is not a number of queues; write a whole number, 0 = no limit")
    return int(text)


def _trace_bound(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 64 <= int(text) <= 1 << 20:
        raise ValueError(f"{text!r} is not a number of queues to trace; write a whole number from 64 to 1048576")
    return int(text)
