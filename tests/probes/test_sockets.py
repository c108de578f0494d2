"""Who holds a socket, from tables as the kernel prints them; the real tables are read in test_poller.py."""

from pathlib import Path

import pytest

from exporter.config.model import TcpAddress, UnixAddress
from exporter.probes.sockets import has_client, tcp_has_client, unix_has_client

LISTENING = "0000000000000000: 00000002 00000000 00010000 0001 01 29838 /run/openvpn/a b.sock\n"
SERVED = "0000000000000000: 00000003 00000000 00000000 0001 03 28344 /run/openvpn/a b.sock\n"
WAITING = "0000000000000000: 00000003 00000000 00000000 0001 02     0 /run/openvpn/a b.sock\n"
LEFT = SERVED.replace("00000003 ", "00000002 ", 1)
OTHER = SERVED.replace("a b", "c")
PATHS = {"/run/openvpn/a b.sock"}


@pytest.mark.parametrize(
    ("table", "held"),
    [
        ("", None),
        (OTHER, None),
        (LISTENING, False),
        (LISTENING + WAITING, False),
        (LISTENING + OTHER, False),
        (LISTENING + LEFT, False),
        (LISTENING + SERVED, True),
        (WAITING + SERVED + LISTENING, True),
        ("0 1 2\n\n" + LISTENING, False),
    ],
)
def test_unix(table: str, held: bool | None) -> None:
    assert unix_has_client(table, PATHS) is held


HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def row(local: str, remote: str, state: str, inode: int) -> str:
    return f"   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0 100\n"


TCP_LISTENING = row("0100007F:1D51", "00000000:0000", "0A", 4711)


@pytest.mark.parametrize(
    ("table", "held"),
    [
        ("", None),
        (row("0100007F:C350", "0100007F:1D51", "01", 5), None),
        (TCP_LISTENING, False),
        (TCP_LISTENING + row("0100007F:1D51", "0100007F:C350", "01", 0), False),
        (TCP_LISTENING + row("0100007F:1D51", "0100007F:C350", "08", 6), False),
        (TCP_LISTENING + row("0100007F:1D51", "0100007F:C350", "01", 6), True),
        (TCP_LISTENING + row("00000000000000000000000001000000:1D51", "0:C350", "01", 6), True),
    ],
)
def test_tcp(table: str, held: bool | None) -> None:
    assert tcp_has_client(HEAD + table, 7505) is held


def test_tables_that_cannot_be_read_tell_nothing(tmp_path: Path) -> None:
    assert has_client(UnixAddress("/run/openvpn/a b.sock"), tmp_path) is None
    assert has_client(TcpAddress("127.0.0.1", 7505), tmp_path) is None
