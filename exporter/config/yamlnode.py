"""Strict reading of YAML: every complaint is one sentence that names the file, the line and the key."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml

from exporter.config.durations import parse_duration
from exporter.errors import BadInputError
from exporter.files import read_named

T = TypeVar("T")
Reader = Callable[[yaml.Node], Any]

_MAX_BYTES: Final = 1 << 20


def compose(path: Path, what: str) -> yaml.Node | None:
    """Return the document's root node; None if the file is empty. Raise BadInputError; `what` names the file."""
    try:
        data = read_named(path, _MAX_BYTES)
    except OSError as error:
        raise BadInputError(f"cannot read {what} {path}: {error.strerror}") from None
    try:
        return yaml.compose(_Named(data, path), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadInputError(f"{path}:{line}: not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise BadInputError(f"{path}: not YAML that makes sense: it is nested too deeply") from None


class _Named:
    """A file for PyYAML with a name, so that error messages can give the place of a node."""

    def __init__(self, data: bytes, path: Path) -> None:
        self.name = str(path)
        self._data = data

    def read(self, _size: int = -1) -> bytes:
        data, self._data = self._data, b""
        return data


def complain(node: yaml.Node, sentence: str) -> BadInputError:
    """Return an error that points at the node."""
    return BadInputError(f"{node.start_mark.name}:{node.start_mark.line + 1}: {sentence}")


class _UnexpectedValueError(Exception):
    """A value of the wrong type; `mapping` and `sequence` know whose it is."""


def mapping(
    node: yaml.Node, where: str, readers: Mapping[str, Reader], required: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the values of a mapping by key, each read by its reader; a key that is not in `readers` is an error."""
    if not isinstance(node, yaml.MappingNode):
        raise complain(node, f"{where} must be a mapping with keys from: {', '.join(readers)}")
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "(not a word)"
        if key not in readers:
            raise complain(key_node, f"unknown key {key!r} in {where}; known are: {', '.join(readers)}")
        if key in values:
            raise complain(key_node, f"key {key!r} is given twice in {where}")
        values[key] = _read(readers[key], value_node, f"key {key!r} of {where}")
    for key in required:
        if key not in values:
            raise complain(node, f"{where} needs the key {key!r}")
    return values


def sequence(node: yaml.Node, where: str, read: Callable[[yaml.Node], T]) -> list[T]:
    """Return the items of a list, each read by `read`."""
    if not isinstance(node, yaml.SequenceNode):
        raise complain(node, f"{where} must be a list")
    return [_read(read, item, where) for item in node.value]


def _read(read: Callable[[yaml.Node], T], node: yaml.Node, what: str) -> T:
    try:
        return read(node)
    except _UnexpectedValueError as error:
        raise complain(node, f"{what}: {error}") from None


def string(node: yaml.Node) -> str:
    """Read text that is not empty; a bare number or word is text too."""
    if not isinstance(node, yaml.ScalarNode) or not node.value:
        raise _UnexpectedValueError("expected text")
    text = str(node.value)
    for character in text:
        if character != "\t" and unicodedata.category(character) in ("Cc", "Cs"):  # control, lone surrogate
            raise _UnexpectedValueError(f"text cannot have the character {character!r}")
    return text


def integer(node: yaml.Node) -> int:
    """Read a whole number, decimal or 0x hexadecimal."""
    if isinstance(node, yaml.ScalarNode) and re.fullmatch(r"[+-]?(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,19})", node.value):
        return int(node.value, 0 if "x" in node.value.lower() else 10)
    raise _UnexpectedValueError("expected a whole number, decimal or hexadecimal (0x4f560001)")


def boolean(node: yaml.Node) -> bool:
    """Read true or false."""
    if isinstance(node, yaml.ScalarNode) and node.value in ("true", "false"):
        return bool(node.value == "true")
    raise _UnexpectedValueError("expected true or false")


def duration(node: yaml.Node) -> float:
    """Read seconds, from text like 500ms or 5m."""
    try:
        return parse_duration(string(node))
    except ValueError as error:
        raise _UnexpectedValueError(str(error)) from None
