"""Find out from the kernel's tables of sockets whether another client holds a management interface.

OpenVPN serves one management client at a time. A connection that it has not accepted yet has no inode in these
tables; one that it has accepted does. So a silent OpenVPN that has accepted a client is busy with it, and one that has
accepted none does not get to it. A client that has disconnected no longer counts, even if OpenVPN has not noticed yet.
"""

import os
from pathlib import Path
from typing import Final

from exporter.config.model import TcpAddress, UnixAddress

_MAX_TABLE: Final = 8 * 1024 * 1024  # bytes of a table; some 100,000 sockets

# The states as the two kinds of tables print them.
_UNIX_LISTENING: Final = "00010000"
_UNIX_CONNECTED: Final = "03"
_UNIX_WITH_PEER: Final = 3  # references to a connected socket as long as the other end has one to it; 2 without
_TCP_LISTENING: Final = "0A"
_TCP_CONNECTED: Final = "01"


def has_client(address: UnixAddress | TcpAddress, procfs: Path) -> bool | None:
    """Return whether OpenVPN has accepted a client there; None if its socket cannot be seen.

    It cannot be seen if it is in another network namespace or on another host.
    """
    try:
        if isinstance(address, UnixAddress):
            return unix_has_client(_table(procfs / "net" / "unix"), {address.path, os.path.realpath(address.path)})
        return tcp_has_client(_table(procfs / "net" / "tcp") + _table(procfs / "net" / "tcp6"), address.port)
    except OSError:
        return None


def unix_has_client(table: str, paths: set[str]) -> bool | None:
    """Look in /proc/net/unix; `paths` are the names under which the socket may be bound."""
    rows = [row for line in table.splitlines() if len(row := line.split(maxsplit=7)) == 8 and row[7] in paths]
    if not any(row[3] == _UNIX_LISTENING for row in rows):
        return None
    return any(row[5] == _UNIX_CONNECTED and row[6] != "0" and int(row[1], 16) >= _UNIX_WITH_PEER for row in rows)


def tcp_has_client(table: str, port: int) -> bool | None:
    """Look in /proc/net/tcp and tcp6."""
    rows = [row for line in table.splitlines() if len(row := line.split()) > 9 and row[1].endswith(f":{port:04X}")]
    if not any(row[3] == _TCP_LISTENING for row in rows):
        return None
    return any(row[3] == _TCP_CONNECTED and row[9] != "0" for row in rows)


def _table(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MAX_TABLE).decode(errors="surrogateescape")
