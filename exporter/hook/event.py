"""Read the event from the environment and the arguments that OpenVPN gives; never a password or a key."""

from exporter.hook.jsonline import Value

Environment = dict[str, str]

# script_type as OpenVPN sets it: the hook's name, which is that of OpenVPN's option, and the type of its messages.
_HOOKS = {
    "client-connect": ("client-connect", 1),
    "client-disconnect": ("client-disconnect", 2),
    "learn-address": ("learn-address", 3),
    "user-pass-verify": ("auth-user-pass-verify", 4),
    "tls-verify": ("tls-verify", 5),
    "tls-crypt-v2-verify": ("tls-crypt-v2-verify", 6),
    "client-crresponse": ("client-crresponse", 7),
    "up": ("up", 8),
    "down": ("down", 9),
    "route-up": ("route-up", 10),
    "route-pre-down": ("route-pre-down", 11),
    "ipchange": ("ipchange", 12),
    "dns-up": ("dns-updown", 13),
    "dns-down": ("dns-updown", 13),
}
_OTHER = ("other", 99)

# By script_type: the most words that OpenVPN itself appends to the command, and those that the first can be.
_APPENDED: dict[str, tuple[int, tuple[str, ...]]] = {
    "client-connect": (1, ()),  # a file for the client's options
    "learn-address": (3, ("add", "update", "delete")),
    "tls-verify": (2, tuple(map(str, range(20)))),  # the certificate's depth and subject
    "client-crresponse": (1, ()),  # a file with the response
    "up": (6, ()),  # device, MTU, link MTU, two addresses, init or restart
    "down": (6, ()),
    "route-pre-down": (6, ()),
    "ipchange": (2, ()),  # address and port
}


def hook_of(environment: Environment) -> tuple[str, int]:
    """Return the hook's name and the type of its messages, from script_type; "other" and 99 if that is unknown."""
    return _HOOKS.get(environment.get("script_type", ""), _OTHER)


def server_of(environment: Environment) -> str:
    """Return the name of OpenVPN's configuration file without its suffix, as systemd's units do; else "openvpn"."""
    name = environment.get("config", "").rpartition("/")[2]
    return name.removesuffix(".conf").removesuffix(".ovpn") or "openvpn"


def are_openvpns(words: list[str], environment: Environment) -> bool:
    """Return whether OpenVPN itself could have appended all these words; False if one of them must be the user's."""
    most, first = _APPENDED.get(environment.get("script_type", ""), (0, ()))
    return len(words) <= most and (not words or not first or words[0] in first)


def client_of(environment: Environment, words: list[str]) -> dict[str, Value]:
    """Return the client's name and addresses. `words` are the arguments, of which OpenVPN's own are the last."""
    get = environment.get
    # Before the client is authenticated, OpenVPN calls its address untrusted.
    kind = "trusted" if get("trusted_ip") or get("trusted_ip6") else "untrusted"
    operation, address, name = _learned(words) if get("script_type") == "learn-address" else (None, None, None)
    return {
        "common_name": get("common_name") or name,
        "address": get(f"{kind}_ip") or get(f"{kind}_ip6"),
        "port": number(get(f"{kind}_port")),
        "operation": operation,
        "vpn_address": address or get("ifconfig_pool_remote_ip"),
        "vpn_address6": get("ifconfig_pool_remote_ip6"),
    }


def traffic_of(environment: Environment) -> dict[str, Value]:
    """Return the bytes and seconds of the client's connection, which OpenVPN gives when it ends."""
    get = environment.get
    return {
        "bytes_received": number(get("bytes_received")),
        "bytes_sent": number(get("bytes_sent")),
        "connected_seconds": number(get("time_duration")),
    }


def number(text: str | None) -> int | None:
    """Parse a whole number in decimal digits; return None for anything else."""
    return int(text) if text and len(text) < 20 and text.isascii() and text.isdigit() else None


def _learned(words: list[str]) -> tuple[str | None, str | None, str | None]:
    """Return operation, address and common name of `add ADDRESS NAME`, `update ADDRESS NAME` or `delete ADDRESS`."""
    if len(words) >= 3 and words[-3] in ("add", "update"):
        return words[-3], words[-2], words[-1]
    if len(words) >= 2 and words[-2] == "delete":
        return "delete", words[-1], None
    return None, None, None
