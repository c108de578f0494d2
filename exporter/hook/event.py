"""What OpenVPN says of the event by its environment and its arguments; passwords and keys are not among it."""

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


def hook_of(environment: Environment) -> tuple[str, int]:
    """The hook's name and its messages' type, from script_type; "other" and 99 where that is unknown or not set."""
    return _HOOKS.get(environment.get("script_type", ""), _OTHER)


def server_of(environment: Environment) -> str:
    """The name of OpenVPN's configuration file without its ending, as systemd's units name it; "openvpn" if none."""
    name = environment.get("config", "").rpartition("/")[2]
    return name.removesuffix(".conf").removesuffix(".ovpn") or "openvpn"


def client_of(environment: Environment, words: list[str]) -> dict[str, Value]:
    """Who it is about. `words` are the arguments, of which OpenVPN's own are the last."""
    get = environment.get
    # Before the client has proved who it is, OpenVPN calls its address untrusted.
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
    """Bytes and seconds of the client's connection, which OpenVPN tells when it ends."""
    get = environment.get
    return {
        "bytes_received": number(get("bytes_received")),
        "bytes_sent": number(get("bytes_sent")),
        "connected_seconds": number(get("time_duration")),
    }


def number(text: str | None) -> int | None:
    """A whole number in decimal digits; None for anything else."""
    return int(text) if text and len(text) < 20 and text.isascii() and text.isdigit() else None


def _learned(words: list[str]) -> tuple[str | None, str | None, str | None]:
    """Operation, address and common name of `add ADDRESS NAME`, `update ADDRESS NAME` or `delete ADDRESS`."""
    if len(words) >= 3 and words[-3] in ("add", "update"):
        return words[-3], words[-2], words[-1]
    if len(words) >= 2 and words[-2] == "delete":
        return "delete", words[-1], None
    return None, None, None
