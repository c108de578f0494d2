"""OpenVPN's directives, in the order in which it applies them: from a configuration file's text or from argv."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from exporter.discovery.words import MAX_WORDS, LineError, split_line

MAX_LINE_BYTES: Final = 255  # OpenVPN reads lines into a buffer of 256 bytes, and refuses longer ones


class Directive(NamedTuple):
    """One option with its arguments; `inline` is the text of a block such as <ca>...</ca>, else None."""

    name: str
    arguments: tuple[str, ...]
    inline: str | None = None
    line: int = 0  # in its file, from 1; 0 on the command line


class LineFault(NamedTuple):
    """A line that OpenVPN would refuse: the file has changed since it started, or is not a configuration."""

    line: int
    reason: str


def from_text(text: str) -> tuple[list[Directive], list[LineFault]]:
    """Return the directives of a configuration file, and the lines that OpenVPN would refuse."""
    directives: list[Directive] = []
    faults: list[LineFault] = []
    lines = iter(enumerate(text.removeprefix("\ufeff").split("\n"), start=1))
    for number, line in lines:
        if len(line) > MAX_LINE_BYTES:
            faults.append(LineFault(number, f"a line of more than {MAX_LINE_BYTES} characters"))
            continue
        try:
            name, *arguments = split_line(line) or ("",)
        except LineError as error:
            faults.append(LineFault(number, str(error)))
            continue
        name = _without_dashes(name)
        if not name:
            continue
        if not arguments and len(name) > 2 and name[0] == "<" and name[-1] == ">":
            name = name[1:-1]
            block: list[str] = []
            for _, inner in lines:
                if inner.lstrip(" \t\v\f\r").startswith(f"</{name}>"):
                    break
                block.append(inner)
            else:
                faults.append(LineFault(number, f"</{name}> is missing"))
                continue
            directives.append(Directive(name, (), "\n".join(block) + "\n", number))
        else:
            directives.append(Directive(name, tuple(arguments), None, number))
    return directives, faults


def from_argv(argv: Sequence[str]) -> list[Directive]:
    """Return the directives of a command line, whose first word is the program."""
    words = list(argv[1:])
    if len(words) == 1 and not words[0].startswith("--"):
        return [Directive("config", (words[0],))]
    directives: list[Directive] = []
    while words:
        name = words.pop(0)
        arguments: list[str] = []
        while words and len(arguments) < MAX_WORDS - 1 and not words[0].startswith("--"):
            arguments.append(words.pop(0))
        if name.startswith("--"):  # OpenVPN refuses a word that is not an option and follows none
            directives.append(Directive(name[2:], tuple(arguments)))
    return directives


def _without_dashes(name: str) -> str:
    return name[2:] if len(name) >= 3 and name.startswith("--") else name


class LastDirectives:
    """The last directive of each name, which for most options is the one that counts."""

    def __init__(self) -> None:
        self._by_name: dict[str, Directive] = {}

    def keep(self, directive: Directive) -> None:
        """Let it take the place of the one before it."""
        self._by_name[directive.name] = directive

    def given(self, names: frozenset[str]) -> list[str]:
        """Return which of these are given, sorted."""
        return sorted(names & self._by_name.keys())

    def get(self, name: str) -> Directive | None:
        """Return the directive; None if it is not given."""
        return self._by_name.get(name)

    def argument(self, name: str) -> str:
        """Return its first argument; empty if there is none."""
        return next(iter(self.arguments(name, 1)), "")

    def arguments(self, name: str, least: int) -> tuple[str, ...]:
        """Return its arguments; none if they are fewer than `least`."""
        directive = self.get(name)
        return directive.arguments if directive and len(directive.arguments) >= least else ()

    def number(self, name: str, default: int) -> int:
        """Return its first argument as a number."""
        text = self.argument(name)
        return atoi(text) if text else default


def atoi(text: str) -> int:
    """Return the number at the start of a text, as the function of this name in C reads it, but at least 0."""
    digits = re.match(r"\s*\+?([0-9]{1,9})", text)
    return int(digits[1]) if digits else 0
