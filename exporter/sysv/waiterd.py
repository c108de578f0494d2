"""openvpn-mq-waiters: counts threads asleep in msgsnd and msgrcv, and hands the counts out over a unix socket.

It has the two capabilities that this takes, and does nothing else: it reads /proc, and writes to whoever connects. The
socket's mode decides who may. systemd listens and passes the socket on; see deploy/openvpn-mq-waiters.socket.
"""

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from exporter.procfs import own_ipc_namespace
from exporter.sysv.sleepers import DeniedError, system_calls
from exporter.sysv.sleepersource import LimitedScan, SleeperSource, encode, encode_denial

_FIRST_PASSED: Final = 3  # SD_LISTEN_FDS_START of sd_listen_fds(3)
_SEND_WITHIN: Final = 1.0  # seconds


def command_line() -> argparse.ArgumentParser:
    """Return the parser of its flags."""
    parser = argparse.ArgumentParser(
        prog="openvpn-mq-waiters",
        description="Counts threads asleep in msgsnd and msgrcv, for openvpn-mq-exporter to ask over a unix socket.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--socket", metavar="PATH", type=Path,
        help="where to listen, if systemd does not pass a socket; it is made anew with mode 0660",
    )  # fmt: skip  # one line of arguments and one of help, here and below
    parser.add_argument(
        "--path.procfs", dest="procfs", metavar="PATH", type=Path, default=Path("/proc"),
        help="where /proc is mounted (default %(default)s)",
    )  # fmt: skip
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Answer until a signal ends the process; return 2 if there is nothing to listen on, 1 if the system refuses."""
    options = command_line().parse_args(argv)
    calls = system_calls()
    if calls is None:
        return _refuse("the numbers of msgsnd and msgrcv on this machine are not known", 1)
    try:
        listener = _listener(options.socket)
    except OSError as error:
        return _refuse(f"cannot listen on {options.socket}: {error.strerror or error}", 1)
    if listener is None:
        return _refuse("nothing to listen on: give --socket, or start openvpn-mq-waiters.socket", 2)
    source = LimitedScan(options.procfs, calls)
    try:
        while True:
            answer(listener, source)
    except KeyboardInterrupt:
        return 130


def answer(listener: socket.socket, source: SleeperSource) -> None:
    """Serve the next client; one that goes away or does not read is no concern of the others."""
    connection, _ = listener.accept()
    with connection:
        try:
            reply = encode(source.read(), own_ipc_namespace())
        except (DeniedError, OSError) as error:
            reply = encode_denial(str(error))
        connection.settimeout(_SEND_WITHIN)
        try:
            connection.sendall(reply)
        except OSError:
            return


def _listener(path: Path | None) -> socket.socket | None:
    if os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS") == "1":
        return socket.socket(fileno=_FIRST_PASSED)
    if path is None:
        return None
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o117)  # or anybody could connect to it until its mode is set
    try:
        listener.bind(str(path))
        listener.listen(16)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


def _refuse(sentence: str, status: int) -> int:
    print(f"openvpn-mq-waiters: {sentence}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
