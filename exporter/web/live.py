"""The web configuration in force: read at the start, and again whenever one of its files changes."""

import logging
from pathlib import Path
from typing import NamedTuple

from exporter.web.auth import Authenticator
from exporter.web.config import WebConfig, read_web_config
from exporter.web.ratelimit import RateLimiter
from exporter.web.tls import Material, Tls, make_tls, read_material

_log = logging.getLogger(__name__)


class WebState(NamedTuple):
    """What one reading of the files comes to. Connections and requests take the one in force when they begin."""

    config: WebConfig = WebConfig()
    material: Material | None = None
    tls: Tls | None = None
    authenticator: Authenticator | None = None  # None: no password is needed
    limiter: RateLimiter | None = None


class LiveWebConfig:
    """Holds the state in force. Any thread may read `current`; read and apply are called one at a time."""

    def __init__(self, path: Path | None) -> None:
        """`path`: of the file; None = there is none. Raises BadInputError."""
        self._path = path
        self.current = WebState()
        self._adopt(self.read())

    def read(self) -> WebState:
        """Read all files anew; what has not changed is the same object as before. Raises BadInputError."""
        before = self.current
        if self._path is None:
            return before
        config = read_web_config(self._path)
        material = read_material(config.tls) if config.tls else None
        if (config, material) == (before.config, before.material):
            return before
        tls = before.tls
        if (config.tls, material) != (before.config.tls, before.material):
            tls = make_tls(config.tls, material) if config.tls and material else None
        authenticator = before.authenticator
        if config.users != before.config.users:
            authenticator = Authenticator(dict(config.users)) if config.users else None
        limiter = before.limiter
        if config.rate_limit != before.config.rate_limit:
            limiter = RateLimiter(config.rate_limit) if config.rate_limit else None
        return WebState(config, material, tls, authenticator, limiter)

    def apply(self, state: WebState) -> None:
        """Put what was read into force; connections that are open keep the TLS that they have."""
        if state is not self.current:
            self._adopt(state)
            _log.info("web configuration, certificates or users have changed and are in force")

    def _adopt(self, state: WebState) -> None:
        if state.config.warnings != self.current.config.warnings:
            for warning in state.config.warnings:
                _log.warning("web configuration: %s", warning)
        self.current = state
