"""A real OpenVPN server whose log an exporter reads."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.openvpn import Lab, OpenVpn, wait_until
from tests.support.program import Program, Samples, running

WARNING = "WARNING: Failed running command (--client-connect): external program exited with error status: 1"
Counts = dict[tuple[str, ...], float]


class Watched:
    """A lab whose server is watched by an exporter."""

    def __init__(self, lab: Lab, program: Program, start: Callable[..., OpenVpn]) -> None:
        self.lab = lab
        self.server = start
        self._program = program

    def samples(self) -> Samples:
        """The exporter's page."""
        return self._program.samples()

    def counts(self) -> Counts:
        """What is not 0 of the failures, events, drops and queue lines, by the values of their labels."""
        wanted = {
            "openvpn_script_failures_total": ("hook", "reason"),
            "openvpn_log_events_total": ("event",),
            "openvpn_packets_dropped_total": ("reason",),
            "openvpn_log_message_queue_lines_total": ("kind",),
        }
        return {
            tuple(dict(labels)[label] for label in wanted[name]): value
            for (name, labels), value in self._program.samples().items()
            if name in wanted and value
        }

    def total(self, name: str) -> float:
        """The value of a metric that only has the label `server`."""
        value = self._program.value(name, server="server")
        assert value is not None
        return value

    def settle(self, lines: Callable[[], int]) -> Counts:
        """The counts, once every line has been read."""
        wait_until(lambda: self.total("openvpn_log_lines_total") >= lines(), "all lines are counted")
        assert self.total("openvpn_log_lines_total") == lines()
        return self.counts()


@contextmanager
def watched_file(tmp_path: Path) -> Iterator[Watched]:
    with Lab() as lab, running(
        f"--openvpn.log={lab.folder / 'server.log'}", f"--state.directory={tmp_path / 'state'}"
    ) as program:  # fmt: skip
        # Else it may first look when the log has lines already, and start at their end.
        wait_until(lambda: (program.value("openvpn_log_read_errors_total", server="server") or 0) > 0, "it looks")
        yield Watched(lab, program, lab.server)


def failing(lab: Lab, name: str, before: str = ":") -> Path:
    """A script that fails, and keeps account of how often it did."""
    return lab.script(name, f"{before}\necho failed >> {lab.folder / name}.runs\nexit 1")


def runs(lab: Lab, name: str) -> int:
    """How often the failing script of this name has failed."""
    account = lab.folder / f"{name}.runs"
    return account.read_text().count("failed") if account.exists() else 0


def lines_of(server: OpenVpn) -> int:
    return server.log.read_bytes().count(b"\n")


def finish(watched: Watched, server: OpenVpn) -> Counts:
    """End the server, and what was counted of it."""
    server.stop()
    return watched.settle(lambda: lines_of(server))
