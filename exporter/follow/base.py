"""What a follower follows: something that hands over lines, can fail, and recovers by itself."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

Take = Callable[[bytes], None]  # is given whole lines, each with its newline, at most BATCH bytes and one newline

BATCH: Final = 256 * 1024  # bytes; also the most of one line that is handed over
RETRY: Final = 1.0  # seconds between attempts to read what cannot be read


class Source(ABC):
    """One file or journal unit. `fault`: why it cannot be read just now; `errors`: how many attempts have failed."""

    def __init__(self) -> None:
        self.fault: str | None = None
        self.errors = 0
        self._retry_at = 0.0

    @abstractmethod
    def poll(self) -> bool:
        """Hand over at most one batch; whether there may be more at once. Raises OSError where it cannot be read."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and children."""

    def step(self, now: float) -> bool:
        """Poll, unless a failure is too fresh (`now` in seconds of any clock); keeps the account of failures."""
        if now < self._retry_at:
            return False
        try:
            more = self.poll()
        except Exception as error:  # noqa: BLE001  # whatever it is, the other sources must go on, and this one again
            self.fault = _sentence(error)
            self.errors += 1
            self._retry_at = now + RETRY
            return False
        self.fault = None
        return more


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot read {error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__
