"""The program openvpn-mq-check: one look, or one after the other, in the form that was asked for."""

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
from typing import TYPE_CHECKING, TextIO

from exporter import logs
from exporter.check.judge import SYSCTL_FILE, Thresholds, judge
from exporter.check.look import SHOWN, Looker
from exporter.check.options import CONFIG_FILE, PROGRAM, command_line
from exporter.check.report import Level, Report
from exporter.check.text import Style, render_text
from exporter.check.users import known_user
from exporter.discovery.processes import HiddenError
from exporter.errors import BadInputError
from exporter.sysv.sysctl import PROFILES

if TYPE_CHECKING:
    from exporter.config.model import Config


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
            sys.stdout.write(_access(options.procfs, configuration(options.config_file)))
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


def _access(procfs: Path, config: Config | None) -> str:
    from exporter.check.grant import drop_in  # noqa: PLC0415  # takes time, and most do not need it
    from exporter.check.rights import is_public  # noqa: PLC0415  # likewise
    from exporter.config.model import Config  # noqa: PLC0415  # likewise
    from exporter.discovery.finder import Finder  # noqa: PLC0415  # likewise

    try:
        return drop_in(Finder(procfs).find(), (sys.prefix, sys.base_prefix), config or Config(), is_public)
    except HiddenError as error:
        raise BadInputError(f"{error}: run it as root") from None


def _run(options: argparse.Namespace, out: TextIO) -> int:
    config = configuration(options.config_file)
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


def configuration(path: Path | None) -> Config | None:
    """Return the configuration; without a path that of the package's service, if there is one that we may read."""
    if path is None:
        if not os.access(CONFIG_FILE, os.R_OK):
            return None
        path = CONFIG_FILE
    from exporter.config.load import load  # noqa: PLC0415  # takes time, and most have no configuration

    return load(path)
