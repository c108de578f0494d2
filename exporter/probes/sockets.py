"""Whether somebody else holds a management socket: from the kernel's tables of sockets.

OpenVPN serves one management client at a time. A connection that it has not accepted yet has no inode in these
tables; one that it has accepted does. So a silent OpenVPN that has accepted somebody is busy with them, and one that
has accepted nobody does not come to it. Who has hung up since holds nothing, though OpenVPN may not have noticed.
"""

import os
from pathlib import Path
from typing import Final

from exporter.config.model import TcpAddress, UnixAddress

_MOST: Final = 8 * 1024 * 1024  # bytes of a table; some 100,000 sockets

# The states as the two kinds of tables print them.
_UNIX_LISTENING: Final = "00010000"
_UNIX_CONNECTED: Final = "03"
_UNIX_WITH_PEER: Final = 3  # references to a connected socket as long as the other end has one to it; 2 without
_TCP_LISTENING: Final = "0A"
_TCP_CONNECTED: Final = "01"


def is_held(address: UnixAddress | TcpAddress, procfs: Path) -> bool | None:
    """Whether OpenVPN has accepted a client there; None where its socket cannot be seen from here.

    It cannot where it is in another network namespace, or on another host.
    """
    try:
        if isinstance(address, UnixAddress):
            return unix_held(_table(procfs / "net" / "unix"), {address.path, os.path.realpath(address.path)})
        return tcp_held(_table(procfs / "net" / "tcp") + _table(procfs / "net" / "tcp6"), address.port)
    except OSError:
        return None


def unix_held(table: str, paths: set[str]) -> bool | None:
    """From /proc/net/unix; `paths` are the names that the socket may have been bound by."""
    rows = [row for line in table.splitlines() if len(row := line.split(maxsplit=7)) == 8 and row[7] in paths]
    if not any(row[3] == _UNIX_LISTENING for row in rows):
        return None
    return any(row[5] == _UNIX_CONNECTED and row[6] != "0" and int(row[1], 16) >= _UNIX_WITH_PEER for row in rows)


def tcp_held(table: str, port: int) -> bool | None:
    """From /proc/net/tcp and tcp6."""
    rows = [row for line in table.splitlines() if len(row := line.split()) > 9 and row[1].endswith(f":{port:04X}")]
    if not any(row[3] == _TCP_LISTENING for row in rows):
        return None
    return any(row[3] == _TCP_CONNECTED and row[9] != "0" for row in rows)


def _table(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MOST).decode(errors="surrogateescape")
