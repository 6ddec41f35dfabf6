"""Download links: signed, good for at least 48 hours, the same within an hour so that caches can work."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from urllib.parse import quote

from domain.errors import Forbidden
from projections.frames.rows import Link

LINK_SECONDS = 48 * 3600
"""How long a link works at least (contracts: 1.5)."""

_HOURS = LINK_SECONDS // 3600 + 1
"""Links are made to the full hour."""


class Links:
    """Makes and checks links. The key is secret; a link shows only who may fetch what until when."""

    def __init__(self, key: bytes) -> None:
        self._mac = hmac.new(key, digestmod=hashlib.sha256)

    def maker(self, base: str) -> Link:
        """A function that makes the link of one version below `base`, such as `https://archive.example.org`."""
        expires = _end()

        def link(version_id: int, filename: str) -> str:
            signature = self._sign(version_id, expires)
            return f"{base}/files/{version_id}/{quote(filename, safe='')}?expires={expires}&signature={signature}"

        return link

    def query(self, version_id: int) -> str:
        """The part of a link that lets its holder have a version's bytes."""
        expires = _end()
        return f"expires={expires}&signature={self._sign(version_id, expires)}"

    def check_query(self, version_id: int, parameters: Mapping[str, str]) -> None:
        """Raise Forbidden for a link that we didn't make or that has expired."""
        text = parameters.get("expires", "")
        expires = int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0
        signature = parameters.get("signature", "")
        if not hmac.compare_digest(signature.encode(), self._sign(version_id, expires).encode()):
            raise Forbidden("This link isn't valid.")
        if expires < time.time():
            raise Forbidden("This link has expired; ask the archive for a new one.")

    def _sign(self, version_id: int, expires: int) -> str:
        mac = self._mac.copy()
        mac.update(b"%d:%d" % (version_id, expires))
        return mac.hexdigest()[:40]


def is_signed(parameters: Mapping[str, str]) -> bool:
    """Whether an address is meant as a link; one that has lost a part of its signature is a link that isn't valid."""
    return "signature" in parameters or "expires" in parameters


def _end() -> int:
    return (int(time.time()) // 3600 + _HOURS) * 3600
