"""Status files as every version of OpenVPN writes them."""

import time

MOMENT = 1795466409


def local(form: str) -> str:
    return time.strftime(form, time.localtime(MOMENT))


def version_1(clients: list[str], when: str | None = None) -> bytes:
    lines = ["OpenVPN CLIENT LIST", f"Updated,{when or local('%Y-%m-%d %H:%M:%S')}"]
    lines += ["Common Name,Real Address,Bytes Received,Bytes Sent,Connected Since"]
    lines += [f"{name},10.0.0.1:{number},1,2,2026-11-23 20:39:00" for number, name in enumerate(clients)]
    lines += ["ROUTING TABLE", "Virtual Address,Common Name,Real Address,Last Ref"]
    lines += [f"10.8.0.{number},{name},10.0.0.1:{number},2026-11-23 20:39" for number, name in enumerate(clients)]
    lines += ["GLOBAL STATS", "Max bcast/mcast queue length,1", "END"]
    return "".join(line + "\n" for line in lines).encode()


COLUMNS = {
    "2.4": ("Virtual IPv6 Address", "Client ID", "Peer ID"),
    "2.5": ("Virtual IPv6 Address", "Client ID", "Peer ID", "Data Channel Cipher"),
    "2.8": ("Virtual IPv6 Address", "Client ID", "Peer ID", "Data Channel Cipher", "Column of the future"),
}


def version_23(clients: list[str], separator: str, version: str = "2.5") -> bytes:
    more = COLUMNS[version]
    columns = ["Common Name", "Real Address", "Virtual Address", "Bytes Received", "Bytes Sent", "Connected Since"]
    columns += ["Connected Since (time_t)", "Username", *more]
    lines = [["TITLE", f"OpenVPN {version}.1 x86_64-pc-linux-gnu [SSL (OpenSSL)] [LZO] [LZ4]"]]
    lines += [["TIME", local("%Y-%m-%d %H:%M:%S"), str(MOMENT)], ["HEADER", "CLIENT_LIST", *columns]]
    for number, name in enumerate(clients):
        address = "" if name == "UNDEF" else f"10.8.0.{number}"  # a connection without a name has none yet
        row = ["CLIENT_LIST", name, f"10.0.0.1:{number}", address, "1", "2", "2026-11-23 20:39:00"]
        lines.append([*row, "1795466340", "UNDEF", *("" for _ in more)])
    lines += [["HEADER", "ROUTING_TABLE", "Virtual Address", "Common Name", "Real Address", "Last Ref"]]
    lines += [["ROUTING_TABLE", f"10.8.0.{n}", name, f"10.0.0.1:{n}", "now"] for n, name in enumerate(clients)]
    lines += [["GLOBAL_STATS", "Max bcast/mcast queue length", "1"]]
    lines += [["GLOBAL_STATS", "dco_enabled", "0"], ["END"]] if version == "2.8" else [["END"]]
    return "".join(separator.join(line) + "\n" for line in lines).encode()


def files(clients: list[str]) -> list[bytes]:
    """The same clients as every version writes them."""
    return [
        version_1(clients),
        version_1(clients, local("%a %b %d %H:%M:%S %Y")),
        *(version_23(clients, separator, version) for separator in ",\t" for version in COLUMNS),
    ]
