"""A signal ends the waiting, whichever thread gets it; nothing holds up a stop."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from exporter.signals import WOKEN, handle_signals
from tests.support.program import running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_for_another_thread(number: signal.Signals) -> None:
    """As the kernel may choose; the waiting main thread wakes all the same."""
    before = signal.getsignal(number)
    with handle_signals([signal.SIGTERM, signal.SIGINT]) as signals:

        def signal_myself() -> None:
            time.sleep(0.3)  # until the main thread waits
            signal.pthread_kill(threading.get_ident(), number)

        other = threading.Thread(target=signal_myself)
        other.start()
        assert signals.next() == number
        other.join()
    assert signal.getsignal(number) is before


def test_a_signal_that_came_before_the_waiting() -> None:
    with handle_signals([signal.SIGTERM]) as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.next() == signal.SIGTERM


def test_waiting_ends_with_the_work_and_with_the_time() -> None:
    """The result, or the exception, is the future's."""
    with handle_signals([signal.SIGTERM]) as signals:
        work = signals.in_background("work", lambda: 3)
        assert signals.next() == WOKEN
        assert work.result(0) == 3
        broken = signals.in_background("work", lambda: 1 // 0)
        assert signals.next() == WOKEN
        with pytest.raises(ZeroDivisionError):
            broken.result(0)
        assert signals.next(timeout=0.01) is None


STUCK = """
import threading, time, sys
from exporter import app, cli
hang = threading.Lock()
hang.acquire()
def stuck(self, *_):
    print("hanging", file=sys.stderr, flush=True)
    hang.acquire()
setattr(app.Runner, sys.argv[1], stuck)
sys.exit(cli.main(["--web.listen-address=127.0.0.1:0", "--collector.disable-defaults", "--collector.limits"]))
"""


def stuck(method: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", STUCK, method], stderr=subprocess.PIPE, text=True)


def wait_for_line(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stderr
    assert any(text in line for line in iter(process.stderr.readline, ""))


@pytest.mark.parametrize(("method", "line"), [("stop", "msg=listening"), ("start", "hanging")])
def test_what_hangs_delays_the_stop_by_three_seconds_at_most(method: str, line: str) -> None:
    """In the stop of a collector or in its start; the log says so and the status is not 0."""
    with stuck(method) as process:
        wait_for_line(process, line)
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        if method == "start":
            assert process.wait(10) == 0  # nothing hangs in the stop
        else:
            wait_for_line(process, "not everything could be stopped in time")
            assert process.wait(10) == 1
        assert time.monotonic() - begin < 3.5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(number: signal.Signals) -> None:
    with stuck("stop") as process:
        wait_for_line(process, "msg=listening")
        process.send_signal(signal.SIGTERM)
        wait_for_line(process, "hanging")
        begin = time.monotonic()
        process.send_signal(number)
        assert process.wait(10) == -number
        assert time.monotonic() - begin < 1


FILLED = """
import os
os.set_blocking(2, False)
try:
    while True:
        os.write(2, b"x" * 4096)
except BlockingIOError:
    os.set_blocking(2, True)
"""


def test_a_log_that_nobody_reads_does_not_hold_up_the_stop() -> None:
    """The kernel ends the process even if no line can be written."""
    with subprocess.Popen([sys.executable, "-c", FILLED + STUCK, "stop"], stderr=subprocess.PIPE) as process:
        time.sleep(2)  # it cannot say that it runs
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == -signal.SIGALRM
        assert 2 < time.monotonic() - begin < 3.5


def test_sighup_does_not_end_it() -> None:
    with running("--collector.disable-defaults", "--collector.limits") as program:
        program.page()
        program.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        assert program.page()
        assert program.stop() == 0
