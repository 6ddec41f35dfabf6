"""The tags that the observation portal gives to proposals; they decide first when a frame becomes public (contracts:
4.3)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import structlog

from adapters.portal.exchange import PortalHttp
from domain.errors import NotFound, StarferryError

logger = structlog.get_logger()

GOOD_SECONDS = 3600.0
RETRY_SECONDS = 60.0
MOST_KEPT = 10_000


class PortalTags:
    """Call it with a proposal's id. Safe to share between threads."""

    def __init__(
        self, http: PortalHttp, base_url: str, token: str, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._http = http
        self._base = base_url.rstrip("/")
        self._token = token
        self._now = now
        self._known: dict[str, tuple[float, set[str]]] = {}
        self._asking = threading.Lock()

    def __call__(self, proposal: str) -> set[str]:
        """The proposal's tags. While the portal can't be asked: those that it gave last, or none, so that the other
        rules decide."""
        known = self._known.get(proposal)
        if known is None or known[0] <= self._now():
            with self._asking:  # a night's files of one proposal come at once and shall be one question
                known = self._known.get(proposal)
                if known is None or known[0] <= self._now():
                    known = self._known[proposal] = self._ask(proposal, known[1] if known else set())
        return known[1]

    def _ask(self, proposal: str, before: set[str]) -> tuple[float, set[str]]:
        if len(self._known) > MOST_KEPT:
            self._known.clear()
        try:
            url = f"{self._base}/api/proposals/{quote(proposal, safe='')}"
            return self._now() + GOOD_SECONDS, _tags(self._http.get(url, "Token", self._token))
        except NotFound:
            return self._now() + GOOD_SECONDS, set()
        except StarferryError as error:
            logger.warning("a proposal's tags can't be asked for", proposal=proposal, reason=str(error))
            return self._now() + RETRY_SECONDS, before


def _tags(document: Any) -> set[str]:
    listed = document.get("tags") if isinstance(document, dict) else None
    return {tag for tag in listed if isinstance(tag, str)} if isinstance(listed, list) else set()
