"""What is wrong, in plain words, with the commands that help. Pure: from what was seen to findings."""

from __future__ import annotations  # what is only imported for type checkers takes time

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from exporter.check.report import Finding, Level, Named, OpenVpn, Program, QueueState, Seen

if TYPE_CHECKING:
    from exporter.discovery.access import Access
    from exporter.discovery.instance import Instance

SYSCTL_FILE: Final = "/etc/sysctl.d/60-openvpn-mq.conf"

_DAY: Final = 86400
_EXPIRES_SOON: Final = 14 * _DAY
# By kind, what it is and what helps.
_CERTIFICATES: Final = {
    "ca": ("CA certificate", "Renew it, give it to all clients, and restart OpenVPN."),
    "cert": ("certificate", "Renew it and restart OpenVPN."),
    "crl": ("revocation list", "Put a new one in its place; OpenVPN reads a file again by itself."),
}


class Thresholds(NamedTuple):
    """Shares of a limit, 1.0 = all of it."""

    warning: float = 0.80
    critical: float = 0.95

    def level(self, share: float) -> Level:
        """Return how bad it is to have used that share."""
        if share >= self.critical:
            return Level.CRITICAL
        return Level.WARNING if share >= self.warning else Level.OK


def judge(seen: Seen, thresholds: Thresholds) -> tuple[Finding, ...]:
    """Return what is wrong, the worst first."""
    findings = [*_queues(seen, thresholds), *_limits(seen, thresholds), *_instances(seen.openvpn, seen.time)]
    order = [Level.CRITICAL, Level.UNKNOWN, Level.WARNING]
    return tuple(sorted(findings, key=lambda finding: order.index(finding.level)))


def _queues(seen: Seen, thresholds: Thresholds) -> Iterator[Finding]:
    if seen.unreadable:
        yield Finding(Level.UNKNOWN, f"The queues cannot be read: {seen.unreadable}.")
    for state in seen.queues:
        level = thresholds.level(state.fill or 0.0)
        if level is not Level.OK:
            yield Finding(level, _full(state), (f"ipcs -q -i {state.queue.msqid}",))
        elif state.blocked_senders:
            yield Finding(
                Level.WARNING,
                f"{_count(state.blocked_senders, 'sender waits', 'senders wait')} on queue {state.label}, which is not "
                "full: their messages are larger than what is free in it.",
            )
    if seen.also_full:
        text = f"{_count(seen.also_full, 'more queue is', 'more queues are')} full or nearly so; --all shows them."
        yield Finding(Level.WARNING, text)
    for limit, total, first in seen.old_limits:
        one = total == 1
        yield Finding(
            Level.WARNING,
            f"{'This queue keeps its' if one else 'These queues keep their'} old limit of {limit} bytes until "
            f"{'it is' if one else 'they are'} made again, although kernel.msgmnb is {_msgmnb(seen)}: "
            f"{_names(first, total)}. "
            f"Stop the programs that use {'it, remove it' if one else 'them, remove them'} with the messages in "
            f"{'it' if one else 'them'}, and start the programs again.",
            tuple(f"ipcrm -Q 0x{queue.key:08x}" if queue.key else f"ipcrm -q {queue.msqid}" for queue in first),
        )


def _full(state: QueueState) -> str:
    queue = state.queue
    by_count = queue.qnum > queue.cbytes
    how = "full" if (state.fill or 0) >= 1 else f"{percent(state.fill)} full"
    if by_count:
        used = (
            f"{queue.qnum} messages, and no more than {queue.qbytes} fit: the kernel takes the limit in bytes for the "
            f"number of messages too"
        )
    else:
        used = f"{queue.cbytes} of {queue.qbytes} bytes, {queue.qnum} messages"
    waiting = f" {_count(state.blocked_senders, 'sender waits', 'senders wait')}." if state.blocked_senders else ""
    return (
        f"Queue {state.label} is {how}{' by count' if by_count else ''}: {used}.{waiting} {_receiver(state.receiver)}"
    )


def _receiver(program: Program | None) -> str:
    if program is None:
        return "Nobody has ever received from it: start the program that should."
    if program.name is None:
        return f"The program that received from it last (pid {program.pid}) has ended: start it again."
    return f"See why {program.name} (pid {program.pid}), which received from it last, does not keep up."


def _limits(seen: Seen, thresholds: Thresholds) -> Iterator[Finding]:
    if seen.limits is None:
        yield Finding(Level.UNKNOWN, "The limits kernel.msgmnb, kernel.msgmax and kernel.msgmni cannot be read.")
        return
    level = thresholds.level(seen.total / seen.limits.msgmni if seen.limits.msgmni else 1.0)
    if level is not Level.OK:
        yield Finding(
            level,
            f"There are {seen.total} queues, and kernel.msgmni allows {seen.limits.msgmni}. See whose they are.",
            ("ipcs -q",),
        )
    if seen.recommended:
        low = [
            f"kernel.{name} is {have}, and should be at least {want}"
            for name, have, want in zip(seen.limits._fields, seen.limits, seen.recommended, strict=True)
            if want is not None and have < want
        ]
        if low:
            yield Finding(
                Level.WARNING,
                f"By the profile {seen.profile}, {'; '.join(low)}.",
                (f"openvpn-mq-check --sysctl {seen.profile} > {SYSCTL_FILE}", "sysctl --system"),
            )


def _instances(openvpn: OpenVpn, now: float) -> Iterator[Finding]:
    if openvpn.hidden:
        yield Finding(Level.UNKNOWN, f"OpenVPN's instances cannot be seen: {openvpn.hidden}.")
    for instance in openvpn.instances:
        # The exporter does not watch clients, but has to read the configuration to know that it is one.
        watched = instance.mode in ("server", "unknown")
        unreadable = [
            access
            for access in openvpn.accesses[instance.name]
            if access.is_unreadable and (watched or access.source.kind == "config")
        ]
        if unreadable:
            what = "; ".join(f"{access.source.kind} {access.source.name} ({access.reason})" for access in unreadable)
            text = f"User {openvpn.user} cannot read everything of OpenVPN {instance.name}: {what}."
            hint = _hint(instance, unreadable)
            yield Finding(Level.WARNING, text + hint, openvpn.remedies.get(instance.name, ()))
    clients = {instance.name for instance in openvpn.instances if instance.mode in ("client", "p2p")}
    for expiry in openvpn.expiries:
        left = expiry.time - now
        if left < _EXPIRES_SOON:
            what, remedy = _CERTIFICATES[expiry.kind]
            when = (
                f"has expired: {'it cannot connect' if expiry.server in clients else 'clients are refused'}"
                if left <= 0
                else f"expires in {_count(int(left // _DAY), 'day', 'days')}"
            )
            level = Level.CRITICAL if left <= 0 else Level.WARNING
            yield Finding(level, f"The {what} of OpenVPN {expiry.server} {when}. {remedy}")


def _hint(instance: Instance, unreadable: Sequence[Access]) -> str:
    from exporter.discovery.access import HOMES  # noqa: PLC0415  # takes time, and is known already if it is needed

    if instance.options.config_is_stdin:
        return " Name the server under `servers` in the exporter's configuration."
    if any(access.source.name.startswith(HOMES) for access in unreadable):
        return " Move what is in a home directory to /etc/openvpn."
    if any(access.verdict == "unusable" and not access.source.name.startswith("/") for access in unreadable):
        return (
            " Start it with absolute paths or --cd, or name the server under `servers` in the exporter's configuration."
        )
    return ""


def percent(share: float | None) -> str:
    """Return a share as `84 %`, rounded down, so that nothing is full that is not; `?` if unknown."""
    return "?" if share is None else f"{int(share * 100 + 1e-9)} %"


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def _names(first: Sequence[Named], total: int) -> str:
    shown = ", ".join(queue.label for queue in first)
    return shown if total == len(first) else f"{shown} and {total - len(first)} more"


def _msgmnb(seen: Seen) -> int:
    return seen.limits.msgmnb if seen.limits else 0
