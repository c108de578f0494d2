"""The report for people: at most as wide as the terminal, 60 columns at least; colour only if asked for."""

from __future__ import annotations  # what is only imported for type checkers takes time

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from exporter.check.judge import percent
from exporter.check.report import Level, OpenVpn, Program, QueueState, Report, Seen

if TYPE_CHECKING:
    from exporter.discovery.access import Access
    from exporter.discovery.instance import Instance

MIN_WIDTH: Final = 60
MAX_WIDTH: Final = 100

_COLOURS: Final = {Level.OK: "32", Level.WARNING: "33", Level.CRITICAL: "31", Level.UNKNOWN: "35"}


class Style:
    """How to draw: width in columns, whether in colour, whether with characters beyond ASCII."""

    def __init__(self, width: int, *, colour: bool, unicode: bool) -> None:
        self.width = min(MAX_WIDTH, max(MIN_WIDTH, width))
        self.full, self.empty = ("█", "░") if unicode else ("#", "-")
        self._colour = colour

    def paint(self, text: str, level: Level) -> str:
        """Return the text in the colour of the level."""
        return f"\x1b[{_COLOURS[level]}m{text}\x1b[0m" if self._colour else text

    def wrap(self, text: str, indent: str = "", first: str = "") -> str:
        """Return the text in lines of at most the width."""
        return textwrap.fill(
            clean(text), self.width, initial_indent=first or indent, subsequent_indent=indent,
            break_on_hyphens=False, break_long_words=True,
        )  # fmt: skip


def clean(text: str) -> str:
    """Return the text without anything that could steer a terminal: programs choose their own names."""
    return "".join(char if char.isprintable() else "?" for char in text)


def render_text(report: Report, style: Style, level_of: dict[str, Level]) -> str:
    """Return the report; `level_of` tells how bad each queue's fill is, by its label."""
    seen = report.seen
    blocks = [
        "\n".join(_queues(seen, style, level_of)),
        "\n".join(_limits(seen, style)),
        "\n".join(_instances(seen.openvpn, style)),
        "\n".join(_findings(report, style)),
    ]
    return "\n\n".join(blocks) + "\n"


def _queues(seen: Seen, style: Style, level_of: dict[str, Level]) -> Iterator[str]:
    if seen.unreadable:
        yield "QUEUES  unknown"
        return
    most = f" of at most {seen.limits.msgmni}" if seen.limits else ""
    yield f"QUEUES  {seen.total}{most}" + ("" if seen.total else ": no program uses a message queue here")
    if not seen.queues:
        return
    bar = style.width - 50
    yield f"  {'NAME':<14} {'FILL':<{bar + 6}} {'MESSAGES':>9} {'LIMIT':>8} OWNER"
    for state in seen.queues:
        yield _row(state, style, bar, level_of.get(state.label, Level.OK))
        yield style.wrap(_around(seen, state), " " * 4)
    if len(seen.queues) < seen.total:
        yield f"  and {seen.total - len(seen.queues)} more, less full (--all shows them)"
    if seen.waiters_unknown:
        yield style.wrap(f"Who waits is not known: {seen.waiters_unknown}.", "  ")


def _row(state: QueueState, style: Style, width: int, level: Level) -> str:
    filled = min(width, int((state.fill or 0.0) * width + 1e-9))
    bar = style.paint(style.full * filled, level) + style.empty * (width - filled)
    limit = "?" if state.fill is None else str(state.queue.qbytes)
    name = _cut(clean(state.label), 14)
    return f"  {name:<14} {bar} {percent(state.fill):>5} {state.queue.qnum:>9} {limit:>8} {_cut(clean(state.owner), 8)}"


def _around(seen: Seen, state: QueueState) -> str:
    parts = [
        f"sent by {_who(state.sender, seen.time - state.queue.stime)}" if state.sender else "nothing sent yet",
        f"received by {_who(state.receiver, seen.time - state.queue.rtime)}"
        if state.receiver
        else "never received from",
    ]
    if state.blocked_senders:
        parts.append(f"{state.blocked_senders} waiting to send")
    if state.waiting_receivers:
        parts.append(f"{state.waiting_receivers} waiting to receive")
    return "; ".join(parts)


def _who(program: Program, age: float) -> str:
    name = f"pid {program.pid}, ended" if program.name is None else f"{program.name} ({program.pid})"
    return f"{name} {_age(age)} ago"


def _age(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def _limits(seen: Seen, style: Style) -> Iterator[str]:
    yield f"KERNEL  profile {seen.profile}"
    if seen.limits is None:
        yield "  unknown"
        return
    for place, (name, have) in enumerate(seen.limits._asdict().items()):
        want = seen.recommended[place] if seen.recommended else None
        low = want is not None and have < want
        verdict = style.paint(f"recommended: {want}", Level.WARNING) if low else style.paint("ok", Level.OK)
        yield f"  kernel.{name} {have:>10}  {verdict}"


def _instances(openvpn: OpenVpn, style: Style) -> Iterator[str]:
    if not openvpn.instances:
        yield "OPENVPN  " + ("unknown" if openvpn.hidden else "none runs here")
        return
    how = ", as the exporter that runs" if openvpn.as_service else ""
    yield f"OPENVPN  as far as user {openvpn.user} can read it{how}"
    for instance in openvpn.instances:
        kind = {"p2p": "point-to-point", "unknown": "mode unknown"}.get(instance.mode, instance.mode)
        parts = [
            kind,
            instance.version,
            instance.unit,
            f"{instance.max_clients} clients" if instance.max_clients else "",
        ]
        yield style.wrap(f"{instance.name}: {', '.join(part for part in parts if part)}", " " * 6, "  ")
        for access in openvpn.accesses[instance.name]:
            yield _source(access, style)
        if programs := _programs(instance):
            yield style.wrap(programs, " " * 6, " " * 4)
        if instance.options.management and instance.options.management.part:
            part = ", ".join(instance.options.management.part)
            yield style.wrap(f"management is left alone: {part}", " " * 6, " " * 4)


def _programs(instance: Instance) -> str:
    """Return what OpenVPN runs at which hook, and whether openvpn-mq-hook is around it."""
    from exporter.discovery.wrapped import wrapped  # noqa: PLC0415  # takes time, and not every host has an OpenVPN

    hooks = [
        f"{script.hook}{' (in openvpn-mq-hook)' if wrapped(script) else ''}" for script in instance.options.scripts
    ]
    plugins = [plugin.path.rpartition("/")[2] for plugin in instance.options.plugins]
    parts = ["scripts: " + ", ".join(hooks)] if hooks else []
    return "; ".join([*parts, "plugins: " + ", ".join(plugins)] if plugins else parts)


def _source(access: Access, style: Style) -> str:
    bad = access.is_unreadable
    word = style.paint(
        f"{access.verdict:<8}", Level.WARNING if bad else Level.OK if access.verdict == "ok" else Level.UNKNOWN
    )
    head = f"    {access.source.kind:<11} "
    room = style.width - len(head) - 9
    name = clean(access.source.name)
    return f"{head}{word} {name if len(name) <= room else '…' + name[1 - room :]}"


def _findings(report: Report, style: Style) -> Iterator[str]:
    if not report.findings:
        yield style.paint("OK", Level.OK) + "  nothing is wrong"
        return
    yield f"{style.paint(report.level.name, report.level)}  what is wrong, and what helps"
    for number, finding in enumerate(report.findings, start=1):
        yield style.wrap(finding.text, "     ", f"{number:>3}. ")
        yield from (f"       {clean(command)}" for command in finding.commands)  # never wrapped: they are to be pasted


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
