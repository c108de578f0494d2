"""What an exporter that watches scripts has counted of a server."""

from collections import Counter

from exporter.process_events.connector import Connector, UnavailableError
from tests.support.needs import missing
from tests.support.program import Program

FLAGS = ("--collector.disable-defaults", "--collector.scripts", "--no-openvpn.discovery")


def counted(program: Program, name: str, server: str, *by: str) -> Counter[str | tuple[str, ...]]:
    """A metric's samples of the server that are not 0, by other labels."""
    found: Counter[str | tuple[str, ...]] = Counter()
    for (sample, labels), value in program.samples().items():
        values = dict(labels)
        if sample == name and values["server"] == server and value:
            cell = tuple(values[label] for label in by)
            found[cell[0] if len(cell) == 1 else cell] += int(value)
    return found


def runs(program: Program, server: str) -> Counter[str | tuple[str, ...]]:
    return counted(program, "openvpn_script_runs_total", server, "hook")


def failures(program: Program, server: str) -> Counter[str | tuple[str, ...]]:
    return counted(program, "openvpn_script_run_failures_total", server, "hook", "reason")


def blocked(program: Program, server: str) -> float:
    return program.value("openvpn_script_blocked_seconds_total", server=server) or 0.0


def need_process_events() -> None:
    """Skip if the kernel does not report processes here."""
    try:
        Connector(frozenset()).close()
    except UnavailableError as error:
        missing(str(error))
