"""One line of an OpenVPN configuration file, or a script's command line, cut into words as OpenVPN cuts it.

The rules differ from a shell's: comments start only where a word could start, single quotes take everything
literally, and a backslash may only precede a backslash, a double quote or white space.
"""

from enum import Enum, auto
from typing import Final

MAX_WORDS: Final = 16  # OpenVPN's MAX_PARMS; what follows on the line is ignored
MAX_WORD_BYTES: Final = 256  # OPTION_PARM_SIZE

_SPACE: Final = frozenset(" \t\n\v\f\r\0")  # isspace() in the C locale, and the end of the line


class LineError(ValueError):
    """The line is not valid for OpenVPN; the message says why."""


class _State(Enum):
    BETWEEN = auto()
    PLAIN = auto()
    DOUBLE = auto()
    SINGLE = auto()


def split_line(line: str) -> tuple[str, ...]:
    """Return the words of `line`; empty for a blank line or a comment. Raise LineError if OpenVPN refuses the line."""
    words: list[str] = []
    word: list[str] = []
    state = _State.BETWEEN
    backslash = False
    for char in f"{line}\0":
        if char == "\\" and not backslash and state is not _State.SINGLE:
            backslash = True
            continue
        if state is _State.BETWEEN and char in ";#":
            break
        kept, state, complete = _step(state, char, escaped=backslash)
        if complete:
            words.append("".join(word))
            word.clear()
            if len(words) == MAX_WORDS:
                return tuple(words)
        if kept and char != "\0":
            if backslash and char not in '\\"' and char not in _SPACE:
                raise LineError(f"a backslash before {char!r}; OpenVPN wants backslashes doubled")
            word.append(char)
            if len(word) > MAX_WORD_BYTES:
                raise LineError(f"a word of more than {MAX_WORD_BYTES} characters")
        backslash = False
    if state is not _State.BETWEEN:
        raise LineError("a quotation mark is not closed" if state is not _State.PLAIN else "a backslash at the end")
    return tuple(words)


def _step(state: _State, char: str, *, escaped: bool) -> tuple[bool, _State, bool]:
    """Return whether `char` belongs to the word, the next state, and whether a word is complete."""
    if state is _State.BETWEEN:
        if char in _SPACE:
            return False, state, False
        if char == '"' and not escaped:
            return False, _State.DOUBLE, False
        if char == "'" and not escaped:
            return False, _State.SINGLE, False
        return True, _State.PLAIN, False
    if state is _State.PLAIN:
        ended = char in _SPACE and not escaped
    elif state is _State.DOUBLE:
        ended = char == '"' and not escaped
    else:
        ended = char == "'"
    return (False, _State.BETWEEN, True) if ended else (True, state, False)
