"""The queues of the made-up site: made, filled, read, and removed at the end."""

import contextlib
import threading
from collections.abc import Iterable
from typing import Final, Self

import sysv_ipc

from exporter.demo.story import QueueStory
from exporter.errors import BadInputError, RefusedError

_MODE: Final = 0o600
_GONE: Final = (sysv_ipc.ExistentialError, OSError)  # what sysv_ipc raises if the queue has been removed
_TRY: Final = 10_000  # messages: more than any limit of the demo holds


class DemoQueue:
    """One queue, with its senders and its daemon."""

    def __init__(self, story: QueueStory) -> None:
        """Make the queue. Raises BadInputError if there is one with its key, or if there is room for none."""
        self.story = story
        self.refused = 0  # messages that did not fit
        self.is_full = False  # whether messages have been refused since the daemon last read
        try:
            self._queue = sysv_ipc.MessageQueue(story.key, sysv_ipc.IPC_CREX, _MODE)
        except sysv_ipc.ExistentialError:
            raise BadInputError(
                f"there is a queue with the key 0x{story.key:08x} already: another openvpn-mq-demo runs, or has been "
                f"killed; then remove its queue: ipcrm -Q 0x{story.key:08x}"
            ) from None
        except OSError as error:
            raise BadInputError(f"cannot make a queue: {error.strerror}; see sysctl kernel.msgmni") from None
        if story.limit is not None and story.limit < self._queue.max_size:
            self._queue.max_size = story.limit
        self._sender: threading.Thread | None = None
        if story.waits:
            threading.Thread(target=self._wait, name=f"daemon of {story.name}", daemon=True).start()

    def send(self, second: int) -> None:
        """Send what is to be sent in this second. If it does not fit, one sender waits, and the others give up.

        Raises RefusedError if the queue has been removed, as `read` does.
        """
        message = b"x" * self.story.size
        for _ in range(self.story.sends(second)):
            try:
                self._queue.send(message, block=False)
            except sysv_ipc.BusyError:
                self.refused += 1
                self.is_full = True
                self._block(message)
            except _GONE:
                raise self._removed() from None

    def read(self, second: int) -> None:
        """Take everything that is there, if the daemon reads in this second."""
        if self.story.reads(second):
            self.is_full = False
            for _ in range(_TRY):
                try:
                    self._queue.receive(block=False)
                except sysv_ipc.BusyError:
                    break
                except _GONE:
                    raise self._removed() from None

    def remove(self) -> None:
        """Remove the queue; whoever sleeps on it is released."""
        with contextlib.suppress(*_GONE):
            self._queue.remove()

    def _removed(self) -> RefusedError:
        return RefusedError(f"another program has removed the queue {self.story.name}; start the demo again")

    def _block(self, message: bytes) -> None:
        if not (self._sender and self._sender.is_alive()):
            self._sender = threading.Thread(
                target=self._send, args=(message,), name=f"sender to {self.story.name}", daemon=True
            )
            self._sender.start()

    def _send(self, message: bytes) -> None:
        with contextlib.suppress(*_GONE):  # the demo ends
            self._queue.send(message)

    def _wait(self) -> None:
        with contextlib.suppress(*_GONE):  # likewise
            while True:
                self._queue.receive()


class Site:
    """All queues. A context: they are there in the block only."""

    def __init__(self, stories: Iterable[QueueStory]) -> None:
        self._stories = stories
        self.queues: list[DemoQueue] = []

    def __enter__(self) -> Self:
        """Make the queues. Raises BadInputError; then there is none of them."""
        try:
            for story in self._stories:
                self.queues.append(DemoQueue(story))
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def _remove(self) -> None:
        while self.queues:
            self.queues.pop().remove()
