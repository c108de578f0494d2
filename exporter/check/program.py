"""The command line of openvpn-mq-check."""

from __future__ import annotations  # what is only imported for type checkers takes time

import argparse
import contextlib
import gc
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TextIO

import exporter
from exporter import logs
from exporter.check.judge import SYSCTL_FILE, Thresholds, judge
from exporter.check.look import SHOWN, Looker
from exporter.check.report import Level, Report
from exporter.check.text import Style, render_text
from exporter.check.users import EXPORTER_USER, known_user
from exporter.errors import BadInputError
from exporter.sysv.sysctl import PROFILES

if TYPE_CHECKING:
    from exporter.config.model import Config

PROGRAM: Final = "openvpn-mq-check"

_DESCRIPTION: Final = """\
One look at the System V message queues, their limits, and the OpenVPN instances of this host: what is full, what
the exporter's user cannot read, and the commands that help. It never sends, receives or changes anything.
Exit status: 0 all is well, 1 warning, 2 critical, 3 unknown, also if the command line is wrong.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status. Called as a program, without `argv`, it ends the process.

    At once, that is: the interpreter's clean-up would take a tenth of the time of one look.
    """
    status = _main(argv)
    if argv is None:
        with contextlib.suppress(OSError):  # told already
            sys.stdout.flush()
        os._exit(status)
    return status


def _main(argv: Sequence[str] | None) -> int:
    try:
        options = command_line().parse_args(argv)
        logs.set_up("error", "logfmt")
        if options.sysctl:
            sys.stdout.write(sysctl_file(options.sysctl))
            return Level.OK
        if options.access:
            sys.stdout.write(_access(options.procfs))
            return Level.OK
        return _run(options, sys.stdout)
    except BadInputError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return Level.UNKNOWN
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `openvpn-mq-check | head`: the reader has seen enough. Python would complain again when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Level.UNKNOWN
    except OSError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return Level.UNKNOWN
    finally:
        logging.shutdown()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInputError(f"{message}; --help shows all options")


def command_line() -> argparse.ArgumentParser:
    """Return the parser of all options."""
    parser = _Parser(prog=PROGRAM, description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument(
        "--as", dest="user", metavar="USER",
        help=f"whose rights to try (default: {EXPORTER_USER} if there is such a user, else your own); complete as root",
    )  # fmt: skip  # one line of arguments and one of help, here and below
    parser.add_argument(
        "--format", choices=("text", "plugin", "json"), default="text",
        help="text for people, one line for monitoring plugins, or JSON (default %(default)s)",
    )  # fmt: skip
    thresholds = Thresholds()
    parser.add_argument(
        "--warning", metavar="PERCENT", type=_percent, default=thresholds.warning,
        help="fill of a queue from which on it is a warning (default 80)",
    )  # fmt: skip
    parser.add_argument(
        "--critical", metavar="PERCENT", type=_percent, default=thresholds.critical,
        help="fill from which on it is critical (default 95)",
    )  # fmt: skip
    parser.add_argument("--all", action="store_true", help=f"all queues, not only the {SHOWN} fullest")
    parser.add_argument(
        "--watch", metavar="SECONDS", type=_seconds, nargs="?", const=2.0, help="look again and again (every 2 seconds)"
    )
    parser.add_argument(
        "--profile",
        choices=list(PROFILES),
        default="small",
        help="what to compare the limits with (default %(default)s)",
    )
    parser.add_argument(
        "--sysctl", choices=[name for name, profile in PROFILES.items() if profile], metavar="PROFILE",
        help=f"only print {SYSCTL_FILE} for this profile, small or large",
    )  # fmt: skip
    parser.add_argument(
        "--access", action="store_true",
        help="only print the drop-in for systemd that lets the exporter read the files of the OpenVPN that runs here",
    )  # fmt: skip
    parser.add_argument(
        "--config.file", dest="config_file", metavar="PATH", type=Path,
        help="the exporter's configuration, for the names of queues and servers",
    )  # fmt: skip
    parser.add_argument(
        "--path.procfs", dest="procfs", metavar="PATH", type=Path, default=Path("/proc"),
        help="where /proc is mounted (default %(default)s)",
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {exporter.__version__}")
    return parser


def sysctl_file(name: str) -> str:
    """Return the text of a file for /etc/sysctl.d with the limits of a profile."""
    profile = PROFILES[name]
    lines = [
        f"# Limits of System V message queues: profile {name} of openvpn-mq-exporter.",
        f"# Save it as {SYSCTL_FILE}, and run: sysctl --system",
        "# A queue keeps the limit that it was made with, until it is made again.",
    ]
    if profile:
        lines += [f"kernel.{key} = {value}" for key, value in profile._asdict().items() if value is not None]
    return "\n".join(lines) + "\n"


def _access(procfs: Path) -> str:
    from exporter.check.grant import drop_in  # noqa: PLC0415  # takes time, and most do not need it
    from exporter.discovery.finder import Finder  # noqa: PLC0415  # likewise

    return drop_in(Finder(procfs).find())


def _run(options: argparse.Namespace, out: TextIO) -> int:
    config = _config(options.config_file)
    thresholds = Thresholds(options.warning, options.critical)
    if thresholds.warning > thresholds.critical:
        raise BadInputError("--warning is above --critical; give it a lower percentage")
    if options.user:
        known_user(options.user)
    if options.watch is None:
        gc.disable()  # one look makes no garbage worth the time
    looker = Looker(options.procfs, config, options.user, options.profile)
    shown = sys.maxsize if options.all or options.format == "json" else SHOWN
    while True:
        seen = looker.look(shown, thresholds.warning)
        report = Report(seen, judge(seen, thresholds))
        text = _render(report, options.format, thresholds, out)
        if options.watch is not None and out.isatty():
            out.write("\x1b[H\x1b[2J")
        out.write(text)
        out.flush()
        if options.watch is None:
            return report.level
        time.sleep(options.watch)


def _render(report: Report, form: str, thresholds: Thresholds, out: TextIO) -> str:
    if form != "text":
        from exporter.check import machine  # noqa: PLC0415  # takes time, and most do not need it

        return machine.render_json(report) if form == "json" else machine.render_plugin(report, thresholds)
    style = Style(
        _columns(out),
        colour=out.isatty() and not os.environ.get("NO_COLOR"),
        unicode=(out.encoding or "").lower().replace("-", "") == "utf8",
    )
    return render_text(report, style, {one.label: thresholds.level(one.fill or 0.0) for one in report.seen.queues})


def _columns(out: TextIO) -> int:
    """Return the terminal's width, or what COLUMNS says; 80 if there is neither."""
    if os.environ.get("COLUMNS", "").isdigit():
        return int(os.environ["COLUMNS"])
    try:
        return os.get_terminal_size(out.fileno()).columns
    except (OSError, ValueError):
        return 80


def _config(path: Path | None) -> Config | None:
    if path is None:
        return None
    from exporter.config.load import load  # noqa: PLC0415  # takes time, and most have no configuration

    return load(path)


def _percent(text: str) -> float:
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = -1.0
    if not 0 <= number <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage; write a number from 0 to 100")
    return number / 100


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0.1 <= number <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.1 on")
    return number
