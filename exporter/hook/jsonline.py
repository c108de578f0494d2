"""A flat JSON object on one line of ASCII; the json package would double the time to start."""

Value = str | int | float | None

_LONGEST = 256  # characters of a text: a line stays small whatever the client's name is
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def encode(fields: dict[str, Value]) -> bytes:
    """Encode without a newline; leave out None, cut texts at 256 characters, round floats to microseconds."""
    return (
        "{" + ",".join(f'"{key}":{_json(value)}' for key, value in fields.items() if value is not None) + "}"
    ).encode()


def _json(value: Value) -> str:
    if isinstance(value, str):
        # Input from outside may hold bytes that are not UTF-8, which Python keeps as lone surrogates.
        text = value[:_LONGEST].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return '"' + "".join(map(_character, text)) + '"'
    return repr(round(value, 6) if isinstance(value, float) else value)


def _character(one: str) -> str:
    if one in _SHORT:
        return _SHORT[one]
    if " " <= one <= "~":
        return one
    number = ord(one)
    if number > 0xFFFF:
        number -= 0x10000
        return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"
    return f"\\u{number:04x}"
