"""The command line of openvpn-mq-hook; argparse alone would take longer than all the rest."""

HELP = """\
usage: openvpn-mq-hook [OPTIONS] [-- SCRIPT [ARGUMENTS]]

Runs an OpenVPN script with the same arguments, environment and streams, exits as the script did, and records the run.
Without a script it only records and posts. In OpenVPN's configuration, with this program's own full path:

    client-connect "/usr/bin/openvpn-mq-hook --queue 0x4f560001 -- /etc/openvpn/connect.sh"

options, as --option VALUE or --option=VALUE:
  --queue KEY           post a status update to this message queue: its key as ipcs prints it (0x4f560001), a decimal
                        number, or ftok:PATH:ID
  --create MODE         create the queue if it is missing, with this mode, such as 0620
  --timeout DURATION    end a script that takes longer (500ms, 30s, 5m): TERM, and KILL two seconds later
  --record PATH         where to record (default /var/log/openvpn-mq/hooks.jsonl)
  --record-client       also record the client's name and addresses
  --server NAME         the server's name in the record (default: its configuration file's name without .conf)
  --help, --version
"""

_UNITS = (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0))

_VALUED = ("--queue", "--create", "--timeout", "--record", "--server")

Key = int | tuple[str, int]  # unsigned, or path and project id of ftok


class UsageError(Exception):
    """The command line is wrong; the message is one sentence that shows how to write it."""


class Options:
    """The command line, parsed."""

    def __init__(self) -> None:
        self.queue: Key | None = None
        self.create: int | None = None  # permission bits
        self.timeout: float | None = None  # seconds
        self.record = "/var/log/openvpn-mq/hooks.jsonl"
        self.record_client = False
        self.server: str | None = None
        self.information: str | None = None  # "--help" or "--version", where one is asked for
        self.script: list[str] = []  # and its arguments; empty: none
        self.words: list[str] = []  # the arguments, if there is no script


def parse_options(arguments: list[str]) -> Options:
    """Parse the command line: options end at `--` and the script, or at the first word that is no option.

    Raises UsageError.
    """
    options = Options()
    rest = list(arguments)
    while rest and rest[0].startswith("--") and rest[0] != "--":
        name, equals, value = rest.pop(0).partition("=")
        if name in ("--record-client", "--help", "--version"):
            if equals:
                raise UsageError(f"{name} takes no value")
            if name == "--record-client":
                options.record_client = True
            else:
                options.information = name
            continue
        if name not in _VALUED:
            raise UsageError(f"unknown option {name}; --help shows all")
        if not equals:
            if not rest or rest[0] == "--":
                raise UsageError(f"{name} needs a value")
            value = rest.pop(0)
        _set(options, name, value)
    if rest[:1] == ["--"]:
        options.script = rest[1:]
        if not options.script:
            raise UsageError("nothing follows --; write the script behind it, or leave it out")
    else:
        options.words = rest
    if options.create is not None and options.queue is None:
        raise UsageError("--create needs --queue")
    return options


def _set(options: Options, name: str, value: str) -> None:
    if name == "--queue":
        options.queue = _key(name, value)
    elif name == "--create":
        options.create = _mode(name, value)
    elif name == "--timeout":
        options.timeout = _duration(name, value)
    elif name == "--record":
        options.record = _path(name, value)
    else:
        options.server = _name(name, value)


def _key(name: str, value: str) -> Key:
    if value.startswith("ftok:"):
        path, _, project = value[5:].rpartition(":")
        if path.startswith("/") and project.isascii() and project.isdigit() and 0 < int(project) < 256:
            return path, int(project)
    else:
        try:
            key = int(value, 16 if value[:2] in ("0x", "0X") else 10)
        except ValueError:
            key = 0
        if key and -(1 << 31) <= key < (1 << 32):
            return key & 0xFFFFFFFF
    raise UsageError(
        f"{name} {value!r} is not a key; write 0x and hex digits, a decimal number, or ftok:PATH:ID "
        "with a whole path and an id of 1 to 255"
    )


def _mode(name: str, value: str) -> int:
    if 3 <= len(value) <= 4 and all(digit in "01234567" for digit in value) and int(value, 8) <= 0o777:
        return int(value, 8)
    raise UsageError(f"{name} {value!r} is not a mode; write it in octal, as 0620")


def _duration(name: str, value: str) -> float:
    for unit, seconds in _UNITS:
        digits = value.removesuffix(unit)
        if digits != value and digits.isascii() and digits.isdigit() and 0 < int(digits) < 1e9:
            return int(digits) * seconds
    raise UsageError(f"{name} {value!r} is not a duration; write it as 500ms, 30s or 5m")


def _path(name: str, value: str) -> str:
    if value.startswith("/"):
        return value
    raise UsageError(f"{name} {value!r} is not an absolute path; begin it with a slash")


def _name(name: str, value: str) -> str:
    if value.strip():
        return value
    raise UsageError(f"{name} needs a name")
