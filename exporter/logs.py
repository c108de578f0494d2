"""Log lines on standard error, as logfmt or JSON; coloured levels for a person at a terminal."""

import logging
import sys
import threading
import time
from typing import Final, TextIO

LEVELS: Final = ("debug", "info", "warn", "error")
FORMATS: Final = ("logfmt", "json")

_NAMES = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warn", logging.ERROR: "error"}
_COLOURS = {"debug": "\x1b[2m", "info": "\x1b[36m", "warn": "\x1b[33m", "error": "\x1b[31m"}


def _to_json(value: object) -> str:
    import json  # noqa: PLC0415  # openvpn-mq-check, which is to start fast, logs next to nothing

    return json.dumps(value, default=str)


class _Line(logging.Formatter):
    """time, level, msg, then what the caller gave as `extra={"fields": {...}}`."""

    def __init__(self, *, as_json: bool, colour: bool) -> None:
        super().__init__()
        self._as_json = as_json
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields: dict[str, object] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": _NAMES.get(record.levelno, "error"),
            "msg": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        if self._as_json:
            return _to_json(fields)
        return " ".join(f"{key}={self._value(key, value)}" for key, value in fields.items())

    def _value(self, key: str, value: object) -> str:
        text = str(value)
        if not text or not text.isprintable() or any(c in text for c in ' "='):
            text = _to_json(text)
        if self._colour and key == "level":
            return f"{_COLOURS[text]}{text}\x1b[0m"
        return text


def set_up(level: str, form: str, stream: TextIO | None = None) -> None:
    """Send every log line to `stream` (standard error), from `level` on, in `form`."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Line(as_json=form == "json", colour=form == "logfmt" and stream.isatty()))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING if level == "warn" else level.upper())


class StateLog:
    """Log a lasting condition once: when it starts, when it changes, and when it is over. Any thread may call it."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._standing: dict[str, str] = {}

    def problem(self, topic: str, message: str, **fields: object) -> None:
        """Warn of `message`, unless it was the last one under `topic`."""
        with self._lock:
            if self._standing.get(topic) == message:
                return
            self._standing[topic] = message
            self._logger.warning(message, extra={"fields": fields})

    def resolved(self, topic: str, message: str, **fields: object) -> None:
        """Log `message` if there was a problem under `topic`; there is none from now on."""
        with self._lock:
            if self._standing.pop(topic, None) is not None:
                self._logger.info(message, extra={"fields": fields})
