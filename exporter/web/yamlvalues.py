"""Values of the web configuration, read as Go's YAML reader takes them."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from exporter.config.yamlnode import complain


def is_null(node: yaml.Node) -> bool:
    """Return whether nothing is given behind the colon."""
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def optional(read: Callable[[yaml.Node], Any]) -> Callable[[yaml.Node], Any]:
    """Read a value that may be left empty, and then counts as not given."""
    return lambda node: None if is_null(node) else read(node)


def text(node: yaml.Node) -> str:
    """Return text, which may be empty."""
    if not isinstance(node, yaml.ScalarNode):
        raise complain(node, "expected text")
    value = "" if is_null(node) else str(node.value)
    if unfit := re.search("[\0\ud800-\udfff]", value):
        raise complain(node, f"text cannot have the character {unfit[0]!r}")
    return value


def flag(node: yaml.Node) -> bool:
    """Return true or false, in the words of YAML 1.1, which Go reads too."""
    if isinstance(node, yaml.ScalarNode) and node.value.lower() in ("true", "yes", "on", "false", "no", "off"):
        return node.value.lower() in ("true", "yes", "on")
    raise complain(node, "expected true or false")


def one_of(values: Mapping[str, str] | tuple[str, ...], what: str) -> Callable[[yaml.Node], str]:
    """Return a reader that takes these values only; `what` describes them."""

    def read(node: yaml.Node) -> str:
        value = text(node)
        if value not in values:
            raise complain(node, f"{value!r} is not {what}; known are: {', '.join(values)}")
        return value

    return read
