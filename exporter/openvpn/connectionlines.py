"""Which messages tell of a connection, and what each one does to its state."""

import re
from collections.abc import Callable
from functools import partial
from typing import Final

from exporter.openvpn.connections import Connections
from exporter.openvpn.connectiontexts import disconnect_reason, learned_client, replaced_name
from exporter.openvpn.messages import Event, Failure, Meaning

Handler = Callable[[str, float | None], None]

# The messages behind a client that matter, as far as they are needed: frequent ones up to what tells them apart, those
# that `meaning` knows to their end. In a real log that is every fourth line. Alternatives with the same first letter
# are one, which is faster.
OF_CLIENTS: Final = (
    r"(?:SENT CONTROL \[[^\n]*?\]: )?+("  # of which only the command is captured
    r"peer info: IV_(?:VER|PLAT)=[^\n]*"
    r"|'(?:PUSH_REPLY|AUTH_FAILED)"
    r"|V(?:ERIFY (?:OK: depth=0|(?!(?:[A-Za-z0-9]+ )?OK)[^\n]*))"
    r"|M(?:ULTI(?:_sva: pool|: (?:Learn: |(?!primary)[^\n]*))|BUF: [^\n]*)"
    r"|SIG[A-Z0-9]+\[soft,[^\]\n]*\] received, client-instance"
    r"|T(?:LS(?:: (?:Initial packet|Username/Password authentication succeeded)| (?:Auth )?Error: [^\n]*))"
    r"|(?:WARNING: Failed running |PLUGIN_CALL: plugin |Exiting due |Initialization Seq)[^\n]*"
    r"|(?:OpenVPN [0-9]|[0-9]+ variation|Dropped [0-9]|Note: --connect-freq)[^\n]*"
    r")"
)
_OF_CLIENTS: Final = re.compile(OF_CLIENTS)
_TCP: Final = re.compile(r"TCP connection established with \[AF_INET(6?)\](\S+)")
_PROCESS_ENDS: Final = re.compile(r"SIG[A-Z0-9]+\[[^\]]*\] received, process (?:exiting|restarting)")
# Behind a line about the client's older connection, OpenVPN leaves the prefix out.
_UNPREFIXED: Final = re.compile(
    r"MULTI_sva: pool returned |MULTI: Learn: |SENT CONTROL \[.*\]: '|MULTI: new connection by "
)
_WITHOUT_CLIENT: Final = (_TCP, _PROCESS_ENDS, _UNPREFIXED)
_FREQUENCY: Final = re.compile(r"MULTI: Connection from (?:\[AF_INET6?\])?(\S+) would exceed ")
_INITIATED: Final = re.compile(r"\[(.*)\] Peer Connection Initiated with .*")
_MAX_HANDLERS: Final = 1000
_SCRIPTS_THAT_ADMIT: Final = ("client-connect", "auth-user-pass-verify")


def of_client(message: str) -> str | None:
    """Return what OF_CLIENTS captures of a whole message behind a client; None if it does not matter."""
    match = _OF_CLIENTS.match(message)
    return match[1] if match else None


def is_of_connection(client: str, message: str) -> bool:
    """Return whether a whole message tells of a connection, or of the process, in words that only OpenVPN writes."""
    if client:
        return of_client(message) is not None
    return any(pattern.match(message) for pattern in _WITHOUT_CLIENT)


class ConnectionReader:
    """Hands messages to the state machine."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.handlers: dict[str, Handler] = {  # by message as OF_CLIENTS captures it; what is missing: see new_handler
            "VERIFY OK: depth=0": connections.verified,
            "MULTI_sva: pool": connections.pool_returned,
            "MULTI: Learn: ": connections.learned,
            "'PUSH_REPLY": connections.push_replied,
            "'AUTH_FAILED": connections.auth_failed_sent,
            "TLS: Initial packet": connections.first_packet,
            "TLS: Username/Password authentication succeeded": connections.authenticated,
        }

    def read_without_client(self, message: str, seconds: float | None) -> bool:
        """Take a whole message without a client; return whether it tells of a connection or of the process."""
        connections = self._connections
        if tcp := _TCP.fullmatch(message):
            connections.tcp_established(tcp[2], seconds, is_prefix=not tcp[1])
        elif _PROCESS_ENDS.fullmatch(message):
            connections.server_ended(is_new=False)
        elif (name := replaced_name(message)) is not None:
            connections.replaced(name)
        elif message.startswith("MULTI: Learn: "):
            connections.learned(learned_client(message), seconds)
        elif _UNPREFIXED.match(message):
            match = _OF_CLIENTS.match(message)
            handler = self.handlers.get(match[1]) if match else None
            if handler:
                handler("", seconds)
        else:
            return False
        return True

    def read_initiated(self, client: str, message: str) -> None:
        """Take the line before one about an older connection of the same client, behind which prefixes are missing."""
        initiated = _INITIATED.fullmatch(message)
        if initiated:
            self._connections.initiated(client, initiated[1])

    def new_handler(self, message: str) -> Handler | None:
        """Return what takes the client and the time of a message as OF_CLIENTS captures it.

        None if it is none of a connection's own: `meaning` may know it. Remembers the handler for the next time.
        """
        connections = self._connections
        handler: Handler | None = None
        if message.startswith("peer info: IV_VER="):
            handler = partial(connections.version, message[18:])
        elif message.startswith("peer info: IV_PLAT="):
            handler = partial(connections.platform, message[19:])
        elif message.startswith("SIG"):
            handler = partial(connections.ended, disconnect_reason(message))
        elif message.startswith("VERIFY "):
            handler = partial(connections.verify_error, message)
        if handler and len(self.handlers) < _MAX_HANDLERS:
            self.handlers[message] = handler
        return handler

    def read_meaning(self, client: str, message: str, meaning: Meaning, seconds: float | None) -> None:
        """Take a message whose meaning is known."""
        connections = self._connections
        match meaning:
            case Failure(hook, _) if hook in _SCRIPTS_THAT_ADMIT:
                connections.failing(client, "script_failed")
            case Event("auth_failed") if client:
                connections.failed(client, "auth_failed")
            case Event("tls_error") if client:
                if message.startswith(("TLS Error: TLS handshake failed", "TLS Error: TLS key negotiation failed")):
                    connections.failed(client, "tls_failed")
            case Event("pool_exhausted"):
                connections.failing(client, "pool_exhausted")
            case Event("max_clients"):
                connections.limited(client, seconds)
            case Event("connect_freq"):
                frequency = _FREQUENCY.match(message)
                connections.limited(frequency[1] if frequency else client, seconds)
            case _:
                pass
