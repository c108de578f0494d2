"""How long 20,000 clients take: their status files, and their list from the management interface.

    .venv/bin/python bench/openvpn.py [CLIENTS]

Beside each: its bytes only split into lines and columns, which is the least that any parser has to do. Medians of one
run on one machine; the ratios are what counts.
"""

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

from exporter.openvpn.clients import ClientSums, read_clients
from exporter.openvpn.status import read_status

ROUNDS = 15


def median(work: Callable[[], object]) -> float:
    """Milliseconds."""
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1000


def listing(count: int, version: int) -> bytes:
    """Return a status file as OpenVPN 2.6 writes it."""
    when = "2026-11-23 20:40:09"
    if version == 1:
        rows = [f"client{n},10.0.{n >> 8}.{n & 255}:4711,{n * 977},{n * 991},{when}" for n in range(count)]
        routes = [f"10.8.{n >> 8}.{n & 255},client{n},10.0.{n >> 8}.{n & 255}:4711,{when}" for n in range(count)]
        titles = "Common Name,Real Address,Bytes Received,Bytes Sent,Connected Since"
        head = ["OpenVPN CLIENT LIST", f"Updated,{when}", titles]
        tail = [
            "ROUTING TABLE",
            "Virtual Address,Common Name,Real Address,Last Ref",
            *routes,
            "GLOBAL STATS",
            "END",
        ]
        return "".join(line + "\n" for line in [*head, *rows, *tail]).encode()
    titles = (
        "HEADER,CLIENT_LIST,Common Name,Real Address,Virtual Address,Virtual IPv6 Address,Bytes Received,"
        "Bytes Sent,Connected Since,Connected Since (time_t),Username,Client ID,Peer ID,Data Channel Cipher"
    )
    rows = [
        f"CLIENT_LIST,client{n},10.0.{n >> 8}.{n & 255}:4711,10.8.{n >> 8}.{n & 255},,{n * 977},{n * 991},{when},"
        f"1795466409,UNDEF,{n},{n},AES-256-GCM"
        for n in range(count)
    ]
    routes = [
        f"ROUTING_TABLE,10.8.{n >> 8}.{n & 255},client{n},10.0.{n >> 8}.{n & 255}:4711,{when},1795466409"
        for n in range(count)
    ]
    tail = ["HEADER,ROUTING_TABLE,Virtual Address,Common Name,Real Address,Last Ref,Last Ref (time_t)", *routes, "END"]
    text = "".join(line + "\n" for line in ["TITLE,OpenVPN 2.6.14", f"TIME,{when},1795466409", titles, *rows, *tail])
    return text.replace(",", "," if version == 2 else "\t").encode()


def main(count: int) -> None:
    """Print the table."""
    print(f"{count} clients, medians of {ROUNDS}")
    print(f"{'':34}{'size':>9}{'parsed':>11}{'split':>11}{'ratio':>8}")
    for version in (1, 2, 3):
        data = listing(count, version)
        separator = b"\t" if version == 3 else b","
        show(f"status file, version {version}", data, partial(read_status, data, 1795466409.0), separator)
    data = listing(count, 3)
    lines = [line for line in data.split(b"\n") if b"CLIENT_LIST" in line]
    sums = ClientSums(count)
    show("status 3, summed by common name", data, lambda: sums.add(read_clients(lines)), b"\t")


def show(what: str, data: bytes, work: Callable[[], object], separator: bytes) -> None:
    """One row."""
    parsed = median(work)
    split = median(lambda: [line.split(separator) for line in data.split(b"\n")])
    print(f"{what:34}{len(data) / 1e6:6.1f} MB{parsed:8.1f} ms{split:8.1f} ms{parsed / split:8.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
