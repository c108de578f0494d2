"""The two errors that refuse a start; each message is one sentence for the user at the terminal."""


class BadInputError(Exception):
    """The input is wrong: a flag, the configuration. The message names the thing and the remedy."""

    exit_status = 2


class RefusedError(Exception):
    """The input is valid, but the operating system refused it: a port in use, a folder that is not writable."""

    exit_status = 1
