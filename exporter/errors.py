"""The two ways in which a start is refused; each message is one sentence for the person at the terminal."""


class BadInputError(Exception):
    """What the user gave is wrong: a flag, the configuration. The message names the thing and the remedy."""

    exit_status = 2


class RefusedError(Exception):
    """What the user gave is fine, and the system says no: a port in use, a folder not writable."""

    exit_status = 1
