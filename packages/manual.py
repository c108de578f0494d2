"""Man pages and shell completion, from the same parsers and texts as --help."""

import argparse
import gzip
from collections.abc import Iterator
from pathlib import Path

import shtab


def escape(text: str) -> str:
    """Escape text for roff."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def from_parser(parser: argparse.ArgumentParser, version: str) -> str:
    """Return the man page of a program whose flags argparse reads; section 8, for administrators."""
    lines = _head(parser.prog, version, parser.description or "")
    lines += [".SH SYNOPSIS", f".B {escape(parser.prog)}", "[FLAGS]"]
    for group in parser._action_groups:  # noqa: SLF001  # argparse has no public way to its groups
        actions = [action for action in group._group_actions if action.option_strings]  # noqa: SLF001
        if actions:
            lines.append(f'.SH "{escape((group.title or "flags").upper())}"')
            for action in actions:
                lines += [".TP", f".B {escape(_invocation(action))}", escape(_help(parser, action))]
    return "\n".join([*lines, ""])


def from_text(program: str, text: str, version: str) -> str:
    """Return the man page of a program that prints its own help: the text as it is."""
    summary = text.split("\n\n")[1].replace("\n", " ")
    lines = [*_head(program, version, summary), ".SH DESCRIPTION", ".nf", *map(escape, text.splitlines()), ".fi"]
    return "\n".join([*lines, ""])


def _head(program: str, version: str, summary: str) -> list[str]:
    title = f'.TH {escape(program.upper())} 8 "" "{escape(program)} {escape(version)}"'
    return [title, ".SH NAME", f"{escape(program)} \\- {escape(summary.split('. ', maxsplit=1)[0].rstrip('.'))}"]


def _invocation(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else f" {action.metavar or (action.dest or '').upper()}"
    if action.choices:
        value = " " + "|".join(map(str, action.choices))
    return ", ".join(f"{name}{value}" for name in action.option_strings)


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    return (action.help or "").replace("%(default)s", str(action.default)).replace("%(prog)s", parser.prog)


def fish(parser: argparse.ArgumentParser) -> str:
    """Return the completion for fish, which shtab does not write."""
    return "\n".join([*_fish_lines(parser), ""])


def _fish_lines(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:  # noqa: SLF001  # argparse has no public way to its flags
        for name in action.option_strings:
            flag = f"-l '{name[2:]}'" if name.startswith("--") else f"-s '{name[1:]}'"
            value = "" if action.nargs == 0 else " -r"
            choices = f" -fa '{' '.join(map(str, action.choices))}'" if action.choices else ""
            text = _help(parser, action).replace("'", "\\'")
            yield f"complete -c {parser.prog} {flag}{value}{choices} -d '{text}'"


def write(parsers: list[argparse.ArgumentParser], texts: dict[str, str], version: str, root: Path) -> None:
    """Write man pages of all programs, and completions of those with a parser, below `root`."""
    manual = root / "usr/share/man/man8"
    manual.mkdir(parents=True)
    pages = {parser.prog: from_parser(parser, version) for parser in parsers}
    pages |= {program: from_text(program, text, version) for program, text in texts.items()}
    for program, page in pages.items():
        compressed = gzip.compress(page.encode(), 9, mtime=0)
        (manual / f"{program}.8.gz").write_bytes(compressed)
    for shell, folder, name in (
        ("bash", "usr/share/bash-completion/completions", "{}"),
        ("zsh", "usr/share/zsh/vendor-completions", "_{}"),
        ("fish", "usr/share/fish/vendor_completions.d", "{}.fish"),
    ):
        (root / folder).mkdir(parents=True)
        for parser in parsers:
            text = fish(parser) if shell == "fish" else shtab.complete(parser, shell)
            (root / folder / name.format(parser.prog)).write_text(text)
