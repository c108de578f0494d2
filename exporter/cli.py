"""The command line of openvpn-mq-exporter."""

import argparse
import dataclasses
import logging
import platform
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

import exporter
from exporter import logs
from exporter.app import App, print_once
from exporter.collectors.process import revision
from exporter.collectors.registry import COLLECTORS
from exporter.config import load as config_load
from exporter.config.flags import address, requests, url_path, value
from exporter.config.model import Config, OpenVpnServer, Settings
from exporter.errors import BadInputError, RefusedError
from exporter.signals import survive
from exporter.web.live import LiveWebConfig

PROGRAM: Final = "openvpn-mq-exporter"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status: 0, 2 if the input is wrong, 1 if the system refuses."""
    with survive(signal.SIGHUP):  # a reload that comes too early must not end the program
        return _main(argv)


def _main(argv: Sequence[str] | None) -> int:
    try:
        options = command_line().parse_args(argv)
        logs.set_up(options.log_level, options.log_format)
        settings = _settings(options)
        if options.config_check:
            LiveWebConfig(settings.web_config_file)
            print(f"{options.config_file or 'no configuration file'}: OK")
        elif options.once:
            print_once(settings, sys.stdout.buffer)
        else:
            App(settings, lambda: _settings(options).config).run()
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


def parse_args(argv: Sequence[str] | None) -> Settings:
    """Read a command line, and the configuration file that it names. Raises BadInputError."""
    return _settings(command_line().parse_args(argv))


def command_line() -> argparse.ArgumentParser:
    """Return the parser of all flags, those of the collectors included."""
    version = f"{PROGRAM} {exporter.__version__} (revision {revision()[:12]}, Python {platform.python_version()})"
    parser = _Parser(
        prog=PROGRAM,
        description="Prometheus exporter for the System V message queues of an OpenVPN host.",
        allow_abbrev=False,
    )
    default = Settings()
    web = parser.add_argument_group("web")
    web.add_argument(
        "--web.listen-address", dest="listen", metavar="HOST:PORT", action="append", type=value(address),
        help="where to listen; may be given several times; IPv6 as [::1]:10049; unix:/PATH for a proxy on this host "
        "(default :10049)",
    )  # fmt: skip  # one line of arguments and one of help, here and below
    web.add_argument(
        "--web.systemd-socket", dest="systemd_socket", action="store_true",
        help="serve the sockets that systemd listens on, instead of --web.listen-address",
    )  # fmt: skip
    web.add_argument(
        "--web.config.file", dest="web_config_file", metavar="PATH", type=Path,
        help="TLS, passwords and headers, in the format of Prometheus's exporter-toolkit (docs/web.md)",
    )  # fmt: skip
    web.add_argument(
        "--web.max-requests", dest="max_requests", metavar="N", type=value(requests),
        default=default.max_requests,
        help="scrapes that may be under way at once, 0 = any number; one more gets status 503 (default %(default)s)",
    )  # fmt: skip
    web.add_argument(
        "--web.telemetry-path", dest="telemetry_path", metavar="PATH", type=value(url_path),
        default=default.telemetry_path,
        help="where the metrics are served (default %(default)s)",
    )  # fmt: skip
    web.add_argument(
        "--web.disable-exporter-metrics", dest="exporter_metrics", action="store_false",
        help="leave out promhttp_*, process_* and python_info, the metrics of the exporter itself",
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
    for spec in COLLECTORS:
        if spec.flags:
            spec.flags.add(parser.add_argument_group(f"collector {spec.name}"))

    openvpn = parser.add_argument_group("OpenVPN")
    openvpn.add_argument(
        "--openvpn.log", dest="logs", metavar="PATH", action="append", type=Path, default=[],
        help="a server's log, if the configuration names no servers; may be given several times; the server is "
        "named after the file, without its suffix",
    )  # fmt: skip
    openvpn.add_argument(
        "--openvpn.discovery", dest="discovery", action=argparse.BooleanOptionalAction, default=True,
        help="look for OpenVPN instances every minute, and watch them if the configuration names no servers "
        "(default on)",
    )  # fmt: skip
    openvpn.add_argument(
        "--state.directory", dest="state_directory", metavar="PATH", type=Path,
        help="where to remember how far logs have been read, so that a restart neither loses nor repeats a line",
    )  # fmt: skip

    parser.add_argument(
        "--config.file", dest="config_file", metavar="PATH", type=Path,
        help="YAML configuration; the exporter runs without one",
    )  # fmt: skip
    parser.add_argument(
        "--config.check", dest="config_check", action="store_true",
        help="check the flags, --config.file and --web.config.file, and exit",
    )  # fmt: skip
    parser.add_argument(
        "--path.procfs", dest="procfs", metavar="PATH", type=Path, default=default.procfs,
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
        listen=tuple(options.listen) if options.listen else Settings.listen,
        systemd_socket=options.systemd_socket,
        web_config_file=options.web_config_file,
        max_requests=options.max_requests,
        telemetry_path=options.telemetry_path,
        exporter_metrics=options.exporter_metrics,
        collectors={name: on for name, on in switched.items() if on is not None},
        collector_defaults=options.collector_defaults,
        parts=tuple(spec.flags.read(options) for spec in COLLECTORS if spec.flags),
        state_directory=options.state_directory,
        procfs=options.procfs,
        once=options.once,
        discovery=options.discovery,
    )


def _servers(config: Config, logs: Sequence[Path]) -> tuple[OpenVpnServer, ...]:
    if config.servers:
        raise BadInputError(
            "--openvpn.log cannot be combined with `servers` in the configuration file; set `log` there instead"
        )
    names = [path.stem for path in logs]
    for name in names:
        if names.count(name) > 1:
            raise BadInputError(f"two files of --openvpn.log would be server {name!r}; name them in a --config.file")
    return tuple(OpenVpnServer(path.stem, log=path.absolute()) for path in logs)
