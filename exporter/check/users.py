"""Users by name."""

import pwd
from typing import Final

from exporter.errors import BadInputError

EXPORTER_USER: Final = "openvpn-mq-exporter"


def known_user(name: str) -> pwd.struct_passwd:
    """Return the account of this name. Raise BadInputError if there is none."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise BadInputError(f"--as {name}: there is no such user") from None
