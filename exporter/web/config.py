"""The web configuration file: YAML as exporter-toolkit 0.17 has it, read strictly, and nothing in it ignored."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from exporter.config.yamlnode import complain, compose, integer, mapping
from exporter.web.ratelimit import RateLimit
from exporter.web.tlsconfig import TlsSettings, read_tls
from exporter.web.yamlvalues import flag, is_null, one_of, text

_HEADERS: Final[Mapping[str, tuple[str, ...]]] = {  # by name, the values that are taken; none listed: any
    "Content-Security-Policy": (),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-Content-Type-Options": ("nosniff",),
    "X-XSS-Protection": (),
    "Strict-Transport-Security": (),
}
_BCRYPT: Final = re.compile(r"\$2[abxy]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_GO_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_GO_DURATION: Final = re.compile(r"\+?(?:[0-9]+(?:\.[0-9]*)?(?:ns|us|µs|μs|ms|s|m|h))+")


@dataclass(frozen=True)
class WebConfig:
    """The whole file; the defaults are those of no file at all."""

    tls: TlsSettings | None = None
    headers: tuple[tuple[str, str], ...] = ()
    users: tuple[tuple[str, str], ...] = ()  # names and bcrypt hashes
    rate_limit: RateLimit | None = None
    warnings: tuple[str, ...] = ()  # what the file asks for and does not get


def read_web_config(path: Path) -> WebConfig:
    """Read and check the file; the files that it names are not read. Raises BadInputError."""
    root = compose(path, "the web configuration")
    if root is None:
        return WebConfig()
    top = mapping(
        root,
        "the web configuration",
        {
            "tls_server_config": lambda node: read_tls(node, path.parent),
            "http_server_config": _http,
            "basic_auth_users": _users,
            "rate_limit": _rate_limit,
        },
    )
    headers, http2 = top.get("http_server_config") or ((), False)
    tls = top.get("tls_server_config")
    warnings = []
    if http2:
        warnings.append("http2 is asked for and not available: HTTP/1.1 is served")
    if top.get("basic_auth_users") and not tls:
        warnings.append("passwords are asked for without TLS: anybody on the way can read them")
    return WebConfig(tls, headers, top.get("basic_auth_users") or (), top.get("rate_limit"), tuple(warnings))


def _http(node: yaml.Node) -> tuple[tuple[tuple[str, str], ...], bool] | None:
    if is_null(node):
        return None
    values = mapping(node, "http_server_config", {"http2": flag, "headers": _headers})
    return values.get("headers") or (), values.get("http2", False)


def _headers(node: yaml.Node) -> tuple[tuple[str, str], ...] | None:
    if is_null(node):
        return None
    readers = {
        name: one_of(allowed, f"a value of {name}") if allowed else _header_value for name, allowed in _HEADERS.items()
    }
    return tuple((name, value) for name, value in mapping(node, "headers", readers).items() if value)


def _header_value(node: yaml.Node) -> str:
    value = text(node).strip()
    if not value.isascii() or (value and not value.isprintable()):
        raise complain(node, "a header's value must be one line of printable ASCII")
    return value


def _users(node: yaml.Node) -> tuple[tuple[str, str], ...] | None:
    if is_null(node):
        return None
    if not isinstance(node, yaml.MappingNode):
        raise complain(node, "basic_auth_users must be a mapping of names to bcrypt hashes")
    users: dict[str, str] = {}
    for name_node, hash_node in node.value:
        name, hashed = text(name_node), text(hash_node)
        if name in users:
            raise complain(name_node, f"the user {name!r} is given twice")
        if ":" in name:
            raise complain(name_node, f"the user name {name!r} has a colon, which HTTP cannot carry")
        if not _BCRYPT.fullmatch(hashed):
            raise complain(hash_node, f"the password of {name!r} is not a bcrypt hash; make one: htpasswd -nBC 10 ''")
        users[name] = hashed
    return tuple(users.items())


def _rate_limit(node: yaml.Node) -> RateLimit | None:
    if is_null(node):
        return None
    values = mapping(node, "rate_limit", {"interval": _go_duration, "burst": integer})
    interval, burst = values.get("interval", 0.0), values.get("burst", 0)
    if interval == 0:
        return None
    if burst < 1:
        raise complain(node, "rate_limit needs a burst of at least 1; with less, every request would be refused")
    return RateLimit(interval, burst)


def _go_duration(node: yaml.Node) -> float:
    """Return seconds, from text as Go's time.ParseDuration reads it, or from a number of nanoseconds."""
    value = text(node)
    if re.fullmatch("[0-9]{1,18}", value):
        return int(value) * 1e-9
    if not _GO_DURATION.fullmatch(value):
        raise complain(node, f"{value!r} is not a duration; write it as 500ms, 1s or 1h30m")
    return sum(float(number) * _GO_UNITS[unit] for number, unit in re.findall(r"([0-9.]+)([a-zµμ]+)", value))
