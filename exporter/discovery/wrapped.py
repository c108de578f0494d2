"""Whether a script runs inside openvpn-mq-hook, and where that records."""

from pathlib import PurePosixPath
from typing import Final, NamedTuple

from exporter.discovery.options import Script
from exporter.hook.options import UsageError, parse_options

_PROGRAM: Final = "openvpn-mq-hook"


class Wrapped(NamedTuple):
    """What the wrapper was told."""

    record: PurePosixPath
    server: str | None  # the name that it writes into the record; None: that of the configuration file
    script: tuple[str, ...]  # the words behind --


def wrapped(script: Script) -> Wrapped | None:
    """Return what the wrapper of this script was told; None if there is no wrapper, or if it would refuse to run."""
    for position, word in enumerate(script.words[:3]):  # an interpreter, or env, may come before it
        if PurePosixPath(word).name == _PROGRAM:
            try:
                options = parse_options(list(script.words[position + 1 :]))
            except UsageError:
                return None
            return Wrapped(PurePosixPath(options.record), options.server, tuple(options.script))
    return None
