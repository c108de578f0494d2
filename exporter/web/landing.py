"""The page at /, for a user who opens the exporter in a browser: HTML without scripts, for light and dark screens."""

import html
from collections.abc import Iterable, Sequence
from typing import Final

from exporter.web.overview import CollectorRow, Overview, QueueRow, ServerRow

_STYLE: Final = """
:root { color-scheme: light dark; --back: #f6f7f9; --card: #fff; --text: #1c2430; --soft: #5d6878; --line: #dfe3e9;
  --link: #0b5cad; --good: #1a7f4b; --warn: #b26a00; --bad: #c0342b; --track: #e7eaef }
@media (prefers-color-scheme: dark) { :root { --back: #14181e; --card: #1d232c; --text: #e4e9f0; --soft: #97a3b4;
  --line: #323b48; --link: #6db1f5; --good: #4cc38a; --warn: #e5a13d; --bad: #f0756b; --track: #2c3541 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--back); color: var(--text); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 3rem }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.05rem; margin: 0 0 .6rem }
p { margin: .2rem 0 0; color: var(--soft) } a { color: var(--link) }
nav { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1.1rem 0 1.5rem }
nav a { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .3rem .8rem;
  text-decoration: none } nav a:first-child { background: var(--link); border-color: var(--link); color: var(--card) }
section { background: var(--card); border: 1px solid var(--line); border-radius: .7rem; padding: 1rem 1.2rem;
  margin-bottom: 1rem; overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th { text-align: left; font-weight: 500; font-size: .85rem; color: var(--soft) }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line) } tr:last-child td { border-bottom: 0 }
.number { text-align: right; white-space: nowrap } .name { font-family: ui-monospace, monospace; word-break: break-all }
.good { color: var(--good) } .warn { color: var(--warn) } .bad { color: var(--bad) } .soft { color: var(--soft) }
.bar { display: block; width: 100%; min-width: 6rem; height: .6rem; border-radius: .3rem; background: var(--track) }
rect { fill: var(--good) } rect.warn { fill: var(--warn) } rect.bad { fill: var(--bad) }
"""
_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>OpenVPN message queue exporter</title><style>{style}</style></head>
<body><main>
<header><h1>OpenVPN message queue exporter</h1>
<p>Version {version}, revision {revision}. Message queues and OpenVPN servers of this host, for Prometheus.</p></header>
<nav><a href="{metrics}">Metrics</a><a href="/-/healthy">Health</a><a href="/-/ready">Readiness</a></nav>
{sections}
</main></body>
</html>
"""
_NEARLY_FULL: Final = 0.6
_FULL: Final = 0.9


def landing_page(view: Overview, telemetry_path: str, version: str, revision: str) -> bytes:
    """Return the page as HTML."""
    sections = [_queues(view.queues, view.queue_count), _servers(view.servers), _collectors(view.collectors)]
    return _PAGE.format(
        style=_STYLE,
        version=html.escape(version),
        revision=html.escape(revision[:12]),
        metrics=html.escape(telemetry_path),
        sections="\n".join(sections),
    ).encode("utf-8", "replace")


def _section(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], nothing: str) -> str:
    """Return a table; cells are HTML already. A head that ends with # is of a column of numbers."""
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    if not body:
        return f"<section><h2>{title}</h2><p>{nothing}</p></section>"
    titles = "".join(
        f'<th class="number">{head[:-1]}</th>' if head.endswith("#") else f"<th>{head}</th>" for head in heads
    )
    return f"<section><h2>{title}</h2><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></section>"


def _cell(text: str, kind: str = "") -> str:
    return f'<td class="{kind}">{html.escape(text)}</td>' if kind else f"<td>{html.escape(text)}</td>"


def _number(value: float | None) -> str:
    return _cell("–" if value is None else f"{value:,.0f}", "number")  # noqa: RUF001  # a dash of a figure's width


def _queues(rows: Sequence[QueueRow], count: float | None) -> str:
    title = "Message queues" if count is None else f"Message queues: {count:,.0f}"
    if count is not None and count > len(rows) > 0:
        title += f", the fullest {len(rows)}"
    return _section(
        title,
        ("Queue", "Messages#", "Bytes#", "Limit#", "Fill#", ""),
        ((_cell(row.name, "name"), _number(row.messages), _number(row.size), _number(row.limit), *_fill(row.fill))
         for row in rows),
        "There is none in this IPC namespace.",
    )  # fmt: skip


def _fill(ratio: float | None) -> tuple[str, str]:
    if ratio is None:
        return _cell("unknown", "number soft"), "<td></td>"
    kind = "bad" if ratio >= _FULL else "warn" if ratio >= _NEARLY_FULL else ""
    percent = f"{ratio:.0%}"
    bar = (
        f'<td><svg class="bar" role="img" aria-label="{percent} full" viewBox="0 0 100 8" preserveAspectRatio="none">'
        f'<rect class="{kind}" width="{min(ratio, 1) * 100:.1f}" height="8"/></svg></td>'
    )
    return _cell(percent, f"number {kind}".strip()), bar


def _servers(rows: Sequence[ServerRow]) -> str:
    def management(up: bool | None) -> str:
        return _cell("not watched", "soft") if up is None else _cell("answers", "good") if up else _cell("down", "bad")

    def status(state: str | None) -> str:
        return _cell("not watched", "soft") if state is None else _cell(state, "good" if state == "ok" else "bad")

    return _section(
        "OpenVPN servers",
        ("Server", "Management", "Status file", "Clients#"),
        ((_cell(row.name, "name"), management(row.management_up), status(row.status), _number(row.clients))
         for row in rows),
        "None is configured or found.",
    )  # fmt: skip


def _collectors(rows: Sequence[CollectorRow]) -> str:
    return _section(
        "Collectors",
        ("Collector", "State", "Last duration#"),
        ((_cell(row.name, "name"), _cell("works", "good") if row.is_well else _cell("fails, see the log", "bad"),
          _cell(f"{row.seconds * 1000:,.1f} ms", "number")) for row in rows),
        "None is switched on.",
    )  # fmt: skip
