"""What a follower follows: a source that hands over lines, can fail, and recovers by itself."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

OnLines = Callable[[bytes], None]  # receives whole lines, each with its newline, at most BATCH bytes and one newline

# Bytes; also the most of one line that is handed over. glibc maps blocks from 128 KiB on anew each time, which takes as
# long as decoding them.
BATCH: Final = 120 * 1024
RETRY: Final = 1.0  # seconds between attempts to read a source that cannot be read
HANGING: Final = 10.0  # seconds after which a poll that has not returned counts as a fault


class Source(ABC):
    """One file or journal unit. `errors` counts the failed attempts to read it.

    One thread polls it; any thread may read `fault` and `errors`.
    """

    def __init__(self) -> None:
        self.errors = 0
        self._fault: str | None = None
        self._retry_at = 0.0
        self._polling_since: float | None = None

    @property
    def fault(self) -> str | None:
        """Why the source cannot be read at present, in one sentence; None if it can."""
        since = self._polling_since
        if since is not None and time.monotonic() - since > HANGING:
            return f"a read has not returned for {time.monotonic() - since:.0f} seconds"
        return self._fault

    @abstractmethod
    def poll(self) -> bool | None:
        """Hand over at most one batch. Return whether there may be more at once; None if readability is not proven yet.

        Raises OSError if the source cannot be read.
        """

    @abstractmethod
    def close(self) -> None:
        """Release files and child processes. May be called twice."""

    def step(self, now: float) -> bool:
        """Poll unless the last failure is younger than RETRY; return whether there may be more at once.

        `now` is time.monotonic().
        """
        if now < self._retry_at:
            return False
        self._polling_since = now
        try:
            more = self.poll()
        except Exception as error:  # noqa: BLE001  # whatever it is, this source must be tried again
            self._fault = _sentence(error)
            self.errors += 1
            self._retry_at = now + RETRY
            return False
        finally:
            self._polling_since = None
        if more is not None:
            self._fault = None
        return bool(more)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot read {error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__
