"""Which of OpenVPN's hooks a command line belongs to."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from exporter.discovery.options import Script

OTHER: Final = "other"

# What OpenVPN runs for itself: to set addresses and routes, to ask for a password.
_HELPERS: Final = frozenset({"ip", "ifconfig", "route", "systemd-ask-password"})
_TEMPORARY_FILE: Final = re.compile(r"(?:.*/)?openvpn_(cc|up|cr)_[0-9a-f]+\.tmp")
_FILE_OF: Final = {"cc": "client-connect", "up": "auth-user-pass-verify", "cr": "client-crresponse"}
_ADDRESS: Final = re.compile(r"[0-9a-fA-F.:]+(?:/[0-9]+)?|\[[0-9a-fA-F:]+\]")
_WITHOUT_ARGUMENTS: Final = frozenset(
    {"client-disconnect", "auth-user-pass-verify", "tls-crypt-v2-verify", "route-up", "route-pre-down", "dns-updown"}
)
_INTERPRETER_WORDS: Final = 3  # that can come before a script's path: /usr/bin/env -S python3


class Commands(NamedTuple):
    """What a configuration lets OpenVPN run."""

    scripts: tuple[Script, ...]
    complete: bool  # False: not all of the configuration could be read
    plugins: bool
    server: bool = False  # a server runs `up` and `route-up` before all others


def hooks_of(words: Sequence[str], commands: Commands) -> frozenset[str]:
    """Return the hooks that a child of OpenVPN's with this command line can be of; empty: it is no script.

    If there are plugins, a child that is none of the scripts is taken for a plugin's.
    """
    likely = _by_arguments(words)
    matches = [script for script in commands.scripts if _runs(words, script.words)]
    longest = max((len(script.words) for script in matches), default=0)
    hooks = frozenset(script.hook for script in matches if len(script.words) == longest)
    if len(hooks) > 1:
        hooks = hooks & (likely or _WITHOUT_ARGUMENTS) or hooks
    if hooks:
        return hooks
    if _is_helper(words) or commands.plugins:
        return frozenset()
    return likely if likely and not commands.complete else frozenset({OTHER})


def _runs(words: Sequence[str], script: Sequence[str]) -> bool:
    """Return whether the command line is that of the script, with its interpreter or without."""
    return any(
        tuple(words[start : start + len(script)]) == tuple(script)
        for start in range(min(len(words), _INTERPRETER_WORDS + 1))
    )


def _is_helper(words: Sequence[str]) -> bool:
    return bool(words) and words[0].rpartition("/")[2] in _HELPERS


def _by_arguments(words: Sequence[str]) -> frozenset[str]:
    """Return the hooks to which OpenVPN gives such last arguments; empty if they tell nothing."""
    found: set[str] = set()
    last = words[-1] if words else ""
    if match := _TEMPORARY_FILE.fullmatch(last):
        found = {_FILE_OF[match[1]]}
    elif (len(words) > 3 and words[-3] in ("add", "update") and _ADDRESS.fullmatch(words[-2])) or (
        len(words) > 2 and words[-2] == "delete" and _ADDRESS.fullmatch(last)
    ):
        found = {"learn-address"}
    elif len(words) > 6 and last in ("init", "restart") and words[-4].isdigit() and words[-5].isdigit():
        found = {"up", "down"}
    elif len(words) > 2 and words[-2].isdigit() and "=" in last:
        found = {"tls-verify"}
    elif len(words) > 2 and _ADDRESS.fullmatch(words[-2]) and last.isdigit():
        found = {"ipchange"}
    return frozenset(found)
