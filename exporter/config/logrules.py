"""The user's own rules for log lines: `log_rules` of the configuration.

Rules are matched by RE2, which takes time in proportion to the text whatever the pattern, so no pattern can stall the
exporter. It has no look-around and no back-references, which are what makes others take exponential time.
"""

import re
from typing import Any, Final

import yaml

try:
    import re2
except ImportError:  # an optional extra: its C++ library is large, and most sites have no rules
    re2 = None

from exporter.config.model import LogRule
from exporter.config.yamlnode import complain, mapping, sequence, string

# Tokens of RE2: a quoted part, an escaped character, the start of a group with flags.
_TOKEN: Final = re.compile(r"\\Q.*?(?:\\E|$)|\\.|\(\?[a-zA-Z]*-[a-zA-Z]*", re.DOTALL)


def read_log_rules(node: yaml.Node) -> tuple[LogRule, ...]:
    """Read the list `log_rules`. Raise BadInputError."""
    rules: dict[str, LogRule] = {}
    for item, rule in sequence(node, "log_rules", lambda item: (item, _rule(item))):
        if rule.name in rules:
            raise complain(item, f"the rule name {rule.name!r} is given twice")
        rules[rule.name] = rule
    return tuple(rules.values())


def _rule(node: yaml.Node) -> LogRule:
    values = mapping(node, "an item of log_rules", {"name": string, "match": _pattern}, required=("name", "match"))
    return LogRule(values["name"], values["match"])


def _pattern(node: yaml.Node) -> Any:
    if re2 is None:
        raise complain(
            node, "log_rules need RE2, which is not installed; run: pip install 'openvpn-mq-exporter[log-rules]'"
        )
    options = re2.Options()
    options.never_nl = True  # a match never goes beyond its line, so a batch can be searched as a whole
    options.log_errors = False  # on standard error; the exception has the same text
    text = string(node)
    for token in _TOKEN.findall(text):
        if token in (r"\A", r"\z") or (token.startswith("(?") and "m" in token.partition("-")[2]):
            raise complain(node, f"match {text!r} has {token}, which would depend on how lines are read; use ^ and $")
    try:
        return re2.compile(f"(?m){text}".encode(), options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise complain(
            node, f"match {text!r} is not a regular expression of RE2 (no look-around, no back-references): {reason}"
        ) from None
