"""Prometheus and Alertmanager in two releases: the oldest that the shipped files promise to work with, and a new one.

Debian 12 has the old one, which apt-get installs; `make tools` unpacks the new one beside it (next-release.sh).
"""

from pathlib import Path
from typing import NamedTuple

from tests.support.needs import need

_NEXT = Path(__file__).parents[2] / ".tools" / "usr" / "bin"


class Release(NamedTuple):
    """The programs, as names to be found or as paths."""

    prometheus: str
    promtool: str
    alertmanager: str
    amtool: str

    def need(self) -> None:
        """Skip (on CI: fail) where one of them is missing."""
        need(*self)


OLD = Release("prometheus", "promtool", "prometheus-alertmanager", "amtool")
NEW = Release(*(str(_NEXT / program) for program in OLD))

RELEASES = {"old": OLD, "new": NEW}
