"""The options of openvpn-mq-check."""

import argparse
from pathlib import Path
from typing import Final, NoReturn

import exporter
from exporter.check.judge import SYSCTL_FILE, Thresholds
from exporter.check.look import SHOWN
from exporter.check.users import EXPORTER_USER
from exporter.errors import BadInputError
from exporter.sysv.sysctl import PROFILES

PROGRAM: Final = "openvpn-mq-check"
CONFIG_FILE: Final = Path("/etc/openvpn-mq-exporter.yml")  # of the service that the packages install

_DESCRIPTION: Final = """\
One look at the System V message queues, their limits, and the OpenVPN instances of this host: what is full, what
the exporter's user cannot read, and the commands that help. It never sends, receives or changes anything.
Exit status: 0 all is well, 1 warning, 2 critical, 3 unknown, also if the command line is wrong.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInputError(f"{message}; --help shows all options")


def command_line() -> argparse.ArgumentParser:
    """Return the parser of all options."""
    parser = _Parser(prog=PROGRAM, description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument(
        "--as", dest="user", metavar="USER",
        help=f"whose rights to try (default: {EXPORTER_USER} if there is such a user, else your own); "
        "what only root can try is unknown to others",
    )  # fmt: skip  # one line of arguments and one of help, here and below
    parser.add_argument(
        "--format", choices=("text", "plugin", "json"), default="text",
        help="text for people, one line for monitoring plugins, or JSON (default %(default)s)",
    )  # fmt: skip
    thresholds = Thresholds()
    parser.add_argument(
        "--warning", metavar="PERCENT", type=_percent, default=thresholds.warning,
        help="a queue that is this full, or fuller, is a warning (default 80)",
    )  # fmt: skip
    parser.add_argument(
        "--critical", metavar="PERCENT", type=_percent, default=thresholds.critical,
        help="a queue that is this full, or fuller, is critical (default 95)",
    )  # fmt: skip
    parser.add_argument("--all", action="store_true", help=f"all queues, not only the {SHOWN} fullest")
    parser.add_argument(
        "--watch", metavar="SECONDS", type=_seconds, nargs="?", const=2.0,
        help="look again and again, every 2 seconds unless told otherwise",
    )  # fmt: skip
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
        help=f"the exporter's configuration, for names of queues and servers (default: {CONFIG_FILE}, if there is one)",
    )  # fmt: skip
    parser.add_argument(
        "--path.procfs", dest="procfs", metavar="PATH", type=Path, default=Path("/proc"),
        help="where /proc is mounted (default %(default)s)",
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {exporter.__version__}")
    return parser


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
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds; write one from 0.1 to 86400")
    return number
