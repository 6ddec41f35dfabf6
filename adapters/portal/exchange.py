"""One HTTP call to the portal: bounded in time and size, never sent on to another host, never quoting a credential."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec
import requests
import structlog
from requests.auth import AuthBase

from domain.errors import NotFound, RetryLater, Unauthenticated

logger = structlog.get_logger()

TIMEOUT_SECONDS = 10.0
LARGEST_ANSWER = 4 * 1024 * 1024
"""A user of thousands of proposals has some 300 kB."""
REDIRECTS = 3
PAUSE_SECONDS = 5.0
"""After a call that found nobody, how long others don't try: requests then fail at once instead of queueing."""


class PortalHttp:
    """Sends requests to one portal. Safe to share between threads."""

    def __init__(self, *, timeout: float = TIMEOUT_SECONDS, pause: float = PAUSE_SECONDS) -> None:
        self._timeout = timeout
        self._pause = pause
        self._resting_until = 0.0
        self._sessions = threading.local()

    def get(self, url: str, scheme: str, token: str) -> Any:
        """The JSON at `url`. Raises as `_answer`."""
        return self._answer("GET", url, authorization=f"{scheme} {token}")

    def post(self, url: str, form: Mapping[str, str]) -> Any:
        """The JSON answer to a form. Raises as `_answer`."""
        return self._answer("POST", url, form=form)

    def _answer(self, method: str, url: str, *, authorization: str = "", form: Mapping[str, str] | None = None) -> Any:
        """Raises Unauthenticated when the portal refuses the credential, NotFound for 404, RetryLater for all else
        that isn't an answer."""
        if time.monotonic() < self._resting_until:
            raise _away()
        try:
            status, body = self._followed(method, url, authorization, form)
        except (requests.RequestException, ValueError, OSError) as error:
            self._resting_until = time.monotonic() + self._pause
            # never the error's own text: it may quote what was sent
            logger.warning("the portal can't be reached", host=urlsplit(url).netloc, error=type(error).__name__)
            raise _away() from None
        if status in (400, 401, 403):
            raise Unauthenticated("The observation portal refuses these credentials.")
        if status == 404:
            raise NotFound("The observation portal doesn't know this.")
        try:
            if status == 200:
                return msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            status = 0
        logger.warning("the portal's answer can't be used", host=urlsplit(url).netloc, status=status)
        raise _away()

    def _followed(self, method: str, url: str, authorization: str, form: Mapping[str, str] | None) -> tuple[int, bytes]:
        """Status and body, after redirects to the same host (portals add a slash, or change to https)."""
        for _ in range(REDIRECTS):
            status, body, target = self._exchange(method, url, authorization, form)
            if not target or method != "GET" or not _same_place(url, urljoin(url, target)):
                break
            url = urljoin(url, target)
        return status, body

    def _exchange(
        self, method: str, url: str, authorization: str, form: Mapping[str, str] | None
    ) -> tuple[int, bytes, str]:
        deadline = time.monotonic() + self._timeout
        with self._session().request(
            method,
            url,
            data=form,
            auth=_Header(authorization),
            headers={"Accept": "application/json"},
            timeout=self._timeout,
            allow_redirects=False,
            stream=True,
        ) as answer:
            body = bytearray()
            for piece in answer.iter_content(65536):
                body += piece
                if len(body) > LARGEST_ANSWER or time.monotonic() > deadline:
                    raise OSError("The portal's answer is too large or too slow.")
            return answer.status_code, bytes(body), answer.headers.get("Location", "") if answer.is_redirect else ""

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._sessions, "session", None)
        if session is None:
            session = self._sessions.session = requests.Session()
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # no user's in another's call
        return session


def _same_place(here: str, there: str) -> bool:
    """Whether a credential that was meant for one address may go to the other."""
    before, after = urlsplit(here), urlsplit(there)
    upgraded = (before.scheme, after.scheme) == ("http", "https")
    same = (before.scheme, before.netloc) == (after.scheme, after.netloc)
    return same or (upgraded and before.hostname == after.hostname)


class _Header(AuthBase):
    """The Authorization header as we mean it: without this, requests would take one from the machine's .netrc."""

    def __init__(self, authorization: str) -> None:
        self._authorization = authorization

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._authorization:
            request.headers["Authorization"] = self._authorization
        return request


def _away() -> RetryLater:
    return RetryLater("The observation portal can't be asked at the moment; try again shortly.", retry_after=5)
