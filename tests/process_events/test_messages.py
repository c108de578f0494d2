"""Datagrams of the process connector, as Linux writes them."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.process_events.messages import EXEC, EXIT, FORK, NONE, Answer, Exec, Exit, Fork, parse, request
from tests.support.events import datagram


def test_fork() -> None:
    assert parse(datagram(FORK, 10, 11, 20, 20, at=5)) == Fork(at=5, parent=11, pid=20)


def test_a_new_thread_is_no_process() -> None:
    """Its pid is not that of its thread group."""
    assert parse(datagram(FORK, 10, 11, 21, 20)) is None


def test_exec() -> None:
    assert parse(datagram(EXEC, 20, 20, at=6)) == Exec(at=6, pid=20)


def test_exit() -> None:
    assert parse(datagram(EXIT, 20, 20, 0x100, 17, 11, 11, at=7)) == Exit(at=7, parent=11, pid=20, status=0x100)


def test_the_end_of_a_thread_is_no_end_of_its_process() -> None:
    assert parse(datagram(EXIT, 21, 20, 0, 17, 11, 11)) is None


def test_exit_without_parent() -> None:
    """Kernels before 4.18 do not write it; later ones write 0 if the parent was faster."""
    assert parse(datagram(EXIT, 20, 20, 9, 17)[:-8]) == Exit(at=0, parent=0, pid=20, status=9)


def test_answer() -> None:
    """The kernel adds one to the number in the request, which is the port of who asked."""
    assert parse(datagram(NONE, 1, acknowledged=78)) == Answer(77, error=1)


def test_other_events_are_left_out() -> None:
    assert parse(datagram(0x200, 20, 20)) is None  # PROC_EVENT_COMM


@given(st.binary(max_size=100))
def test_any_bytes(data: bytes) -> None:
    """Never an exception; too short is nothing."""
    assert len(data) >= 68 or parse(data) is None


@pytest.mark.parametrize(("listen", "operation"), [(True, 1), (False, 2)])
def test_request(listen: bool, operation: int) -> None:
    message = request(77, listen=listen)
    length, _, _, _, port, _, _, _, number, size, _, last = struct.unpack("=IHHII IIIIHH I", message)
    assert (length, port, number, size, last) == (len(message), 77, 77, 4, operation)
