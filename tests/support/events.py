"""Events of the process connector, made by hand."""

import struct


def datagram(what: int, *fields: int, at: int = 0, acknowledged: int = 0) -> bytes:
    """A message with these fields of its event; as long as the longest event."""
    padded = [*fields, *[0] * (6 - len(fields))]
    return struct.pack("=IHHII IIIIHH IIQ 6I", 76, 3, 0, 0, 0, 1, 1, 0, acknowledged, 40, 0, what, 0, at, *padded)
