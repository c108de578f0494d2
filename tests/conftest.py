"""What every test relies on: an IPC namespace of its own."""

import logging
import os
import signal
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings

from tests.support.needs import leave_ipc_namespace, need_private_queues, remove_all_queues

# How long an example takes says how busy the machine is, and nothing of what is tested.
# On CI the examples are the same every time; elsewhere they are new ones, and those that fail are tried again first.
settings.register_profile(
    "any machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("any machine")

_MAX_ID: Final = 300  # characters or bytes


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a long input by its length: ids are printed, and some would be megabytes."""
    return f"{argname} of {len(val)}" if isinstance(val, str | bytes) and len(val) > _MAX_ID else None


def pytest_sessionstart() -> None:
    """Leave the host's IPC namespace, and give the signals back that nohup or a shell's & have taken away."""
    leave_ipc_namespace()
    usual_handlers: dict[signal.Signals, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGQUIT: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    for number, usual in usual_handlers.items():
        if signal.getsignal(number) is signal.SIG_IGN:  # a program that a test starts would ignore it too
            signal.signal(number, usual)


@pytest.fixture
def queues() -> Iterator[None]:
    """An empty set of message queues, in a namespace of the tests' own; whatever is made is removed."""
    need_private_queues()
    remove_all_queues()
    yield
    remove_all_queues()


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    """Undo what the program's own start does to the root logger, so that no test depends on the order."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
