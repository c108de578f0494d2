"""The forms that OpenVPN's lines have in a log, and patterns that find a batch's lines of one form in a single pass."""

import re
from typing import Final

from exporter.openvpn.connectionlines import OF_CLIENTS
from exporter.openvpn.logline import Line

# As nearly all clients are: NAME/1.2.3.4:5, udp4:1.2.3.4:5, [::1]:5. Others take the longer way.
_CLIENT: Final = r"(?:[^ \n:]*:(?:[0-9.]++:)?[0-9]{1,5}|[^ \n]*\]:[0-9]{1,5})"
_FORMS: Final = {  # what may precede the client of most lines, with the stamp as a group
    "none": "()",
    "date": "([0-9-]{10}+ [0-9:]{8}+) ",
    "microseconds": "([0-9-]{10} [0-9:]{8} us=[0-9]{1,6}) ",
    "machine": r"([0-9]{1,19}\.[0-9]{6} [0-9a-f]{1,8}) ",
    "journal": r"(@journal [0-9]{10}\.[0-9]{6}) ",
    "journal-date": r"(@journal [0-9]{10}\.[0-9]{6}) [0-9-]{10} [0-9:]{8} ",
}
# Lines about no client that nobody has to look at, of those that OpenVPN writes often.
_OF_SERVER: Final = (
    r"(?:MANAGEMENT: |net_|TUN/TAP |Socket Buffers|UDPv|TCPv|library ver|DCO ver|MULTI: multi_init|IFCONFIG POOL|"
    r"Closing TUN|event_wait|read UDPv|read TCPv|NOTE: the current|Could not det)"
)
# One pass over a batch finds the lines of clients that matter, in their parts, and all lines that have another form;
# a line of this form that does not matter costs a third of a microsecond.
LINES: Final = {
    form: re.compile(
        rf"\n(?:{prefix}({_CLIENT}) )?+(?(2){OF_CLIENTS}|(?!{prefix.replace('(', '(?:')}{_OF_SERVER})([^\n]+))"
    )
    for form, prefix in _FORMS.items()
}
_STAMP_FORMS: Final = {
    form: re.compile(prefix.rstrip()) for form, prefix in _FORMS.items() if not form.startswith("journal")
}
OTHER_LINES: Final = re.compile(r"\n()()()([^\n]+)")


def form_of(line: Line) -> str:
    """Return the name of the form that a line has; empty if it is none that LINES knows."""
    form = next((name for name, pattern in _STAMP_FORMS.items() if pattern.fullmatch(line.stamp)), "")
    if line.carrier.startswith("@journal "):
        return {"none": "journal", "date": "journal-date"}.get(form, "")
    return "" if line.carrier else form


def shape(stamp: str) -> str:
    """Return what is equal for stamps of one form: the stamp with 0 for its numbers; a blank for those before 2.5."""
    return re.sub(r"[0-9a-f]+$|[0-9]+", "0", stamp) if stamp[:1].isdigit() else stamp[3:4]


def is_older(stamp: str, other: str) -> bool:
    """Return whether a stamp is older than another of its form; False for those before 2.5, which do not sort."""
    return stamp[:1].isdigit() and len(stamp) == len(other) and stamp < other
