"""What one OpenVPN was told, by its command line and its files: the values that a monitor needs."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final, Literal, NamedTuple

from exporter.config.model import TcpAddress, UnixAddress
from exporter.discovery.addresspool import Pool

Mode = Literal["server", "client", "p2p"]
CertificateKind = Literal["ca", "cert", "crl"]

# Options that run a command of the site's; each is the name of its hook.
SCRIPT_OPTIONS: Final = frozenset({
    "client-connect", "client-disconnect", "learn-address", "auth-user-pass-verify", "tls-verify",
    "tls-crypt-v2-verify", "client-crresponse", "up", "down", "route-up", "route-pre-down", "ipchange", "dns-updown",
})  # fmt: skip

# Options by which OpenVPN expects something of its management client, or reacts to its coming and going (after
# management-signal, a client that leaves restarts OpenVPN).
MANAGEMENT_PART: Final = frozenset({
    "management-client", "management-client-auth", "management-client-pf", "management-query-passwords",
    "management-query-proxy", "management-query-remote", "management-hold", "management-signal",
    "management-forget-disconnect", "management-external-key", "management-external-cert", "management-up-down",
    "management-client-user", "management-client-group", "pkcs11-id-management",
})  # fmt: skip


class Script(NamedTuple):
    """A command that OpenVPN runs at a hook; `words` as OpenVPN cuts it, `path` of its first word, absolute."""

    hook: str
    words: tuple[str, ...]
    path: PurePosixPath | None  # None: relative to a folder that is not known


class Plugin(NamedTuple):
    """A shared object that OpenVPN loads; which hooks it takes is known of those that OpenVPN ships."""

    path: str
    hooks: tuple[str, ...]


class Management(NamedTuple):
    """The management interface. `part`: the options that give its client a part to play, so it must not be polled."""

    address: UnixAddress | TcpAddress | None  # None: OpenVPN connects to its client, or listens inside the tunnel
    password_file: PurePosixPath | None
    part: tuple[str, ...]


class Certificate(NamedTuple):
    """A certificate or revocation list: a file, or the text of an inline block."""

    kind: CertificateKind
    path: PurePosixPath | None
    inline: str | None


class Fault(NamedTuple):
    """Something of the configuration that could not be read."""

    path: str  # the file, or what is relative to a folder that is not known
    reason: str


@dataclass(frozen=True)
class OpenVpnOptions:
    """Defaults are OpenVPN's own. Paths are absolute; None where there is none, or where its folder is not known."""

    config: PurePosixPath | None = None  # the first file
    config_is_stdin: bool = False
    files: tuple[PurePosixPath, ...] = ()  # all configuration files that were read or tried
    mode: Mode = "p2p"
    log: PurePosixPath | None = None  # the first one given, which keeps what OpenVPN prints
    syslog_tag: str | None = None  # set if OpenVPN writes to syslog, which a log file overrides
    status: PurePosixPath | None = None
    status_interval: int = 60  # seconds
    status_version: int = 1
    management: Management | None = None
    scripts: tuple[Script, ...] = ()
    plugins: tuple[Plugin, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    verb: int = 1
    mute: int = 0
    max_clients: int = 1024
    pool: Pool | None = None
    chroot: PurePosixPath | None = None
    device: str = ""
    port: str = ""  # as given
    faults: tuple[Fault, ...] = ()
    folder: PurePosixPath | None = field(default=None, compare=False)  # that it is in after its last `cd`
