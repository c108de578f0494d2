"""The report for programs: one line as monitoring plugins have it, or JSON."""

import json
import math
from typing import Any, Final

from exporter.check.judge import Thresholds, percent
from exporter.check.report import Program, QueueState, Report
from exporter.discovery.options import Script
from exporter.discovery.wrapped import wrapped

_MAX_IN_LINE: Final = 20  # queues with performance data: monitoring systems cut long lines


def render_plugin(report: Report, thresholds: Thresholds) -> str:
    """Return `OPENVPN-MQ STATUS - text | performance data`, in one line."""
    seen = report.seen
    if report.findings:
        # The sentence alone; what to do about it is for whoever looks.
        first = report.findings[0].text.partition(". ")[0].rstrip(".")
        more = len(report.findings) - 1
        text = f"{first}; {more} more" if more else first
    else:
        fills = [state for state in seen.queues if state.fill is not None]
        top = max(fills, key=lambda state: state.fill or 0.0, default=None)
        text = f"{seen.total} queues" + (f", the fullest {top.label} at {percent(top.fill)}" if top else "")
    data = [f"queues={seen.total};;;0;{seen.limits.msgmni if seen.limits else ''}"]
    levels = f"{thresholds.warning * 100:g};{thresholds.critical * 100:g}"
    fullest = sorted(seen.queues, key=lambda state: state.fill or 0.0, reverse=True)[:_MAX_IN_LINE]
    for state in fullest:
        if state.fill is not None:
            data.append(f"{_quoted(f'{state.label} fill')}={state.fill * 100:.2f}%;{levels};0;100")
            data.append(f"{_quoted(f'{state.label} messages')}={state.queue.qnum}")
    return f"OPENVPN-MQ {report.level.name} - {_one_line(text)} | {' '.join(data)}\n"


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text).replace("|", "/")


def _quoted(label: str) -> str:
    """Return a label of performance data: neither equals sign nor single quote may be in it."""
    return f"'{_one_line(label).replace(chr(39), '_').replace('=', '_')}'"


def render_json(report: Report) -> str:
    """Return everything, as an object; sizes in bytes, times in Unix seconds, null if unknown."""
    seen = report.seen
    document: dict[str, Any] = {
        "status": report.level.name,
        "exit_status": int(report.level),
        "time": seen.time,
        "findings": [
            {"status": finding.level.name, "text": finding.text, "commands": finding.commands}
            for finding in report.findings
        ],
        "queues": {
            "total": None if seen.unreadable else seen.total,
            "error": seen.unreadable,
            "waiters_error": seen.waiters_unknown,
            "shown": [_queue(state) for state in seen.queues],
        },
        "limits": {
            "profile": seen.profile,
            "current": seen.limits._asdict() if seen.limits else None,
            "recommended": seen.recommended._asdict() if seen.recommended else None,
        },
        "openvpn": {
            "user": seen.openvpn.user or None,
            "as_service": seen.openvpn.as_service,
            "error": seen.openvpn.hidden,
            "instances": [
                {
                    "name": instance.name,
                    "pid": instance.process.pid,
                    "mode": instance.mode,
                    "version": instance.version or None,
                    "unit": instance.unit or None,
                    "config": instance.config or None,
                    "max_clients": instance.max_clients,
                    "address_pool_size": instance.address_pool_size,
                    "sources": [
                        {"kind": one.source.kind, "name": one.source.name, "access": one.verdict, "reason": one.reason}
                        for one in seen.openvpn.accesses[instance.name]
                    ],
                    "scripts": [
                        {"hook": one.hook, "command": one.words, "record": _record(one)}
                        for one in instance.options.scripts
                    ],
                    "plugins": [plugin.path for plugin in instance.options.plugins],
                    "expiries": {
                        one.kind: one.time if math.isfinite(one.time) else None  # of a list that never ends
                        for one in seen.openvpn.expiries
                        if one.server == instance.name
                    },
                    "remedies": seen.openvpn.remedies.get(instance.name, ()),
                }
                for instance in seen.openvpn.instances
            ],
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"


def _record(script: Script) -> str | None:
    """Return where openvpn-mq-hook records the script's runs; None if it is not around it."""
    wrapper = wrapped(script)
    return str(wrapper.record) if wrapper else None


def _queue(state: QueueState) -> dict[str, Any]:
    queue = state.queue
    known = state.fill is not None
    return {
        "name": state.label,
        "key": f"0x{queue.key:08x}",
        "msqid": queue.msqid,
        "owner": state.owner,
        "mode": f"{queue.mode:04o}",
        "bytes": queue.cbytes,
        "messages": queue.qnum,
        "limit_bytes": queue.qbytes if known else None,
        "fill": state.fill,
        "last_sender": _program(state.sender),
        "last_receiver": _program(state.receiver),
        "last_send": queue.stime or None,
        "last_receive": queue.rtime or None,
        "blocked_senders": state.blocked_senders,
        "waiting_receivers": state.waiting_receivers,
    }


def _program(program: Program | None) -> dict[str, Any] | None:
    return None if program is None else {"pid": program.pid, "name": program.name}
