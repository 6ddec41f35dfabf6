"""Download links: signed, good for at least 48 hours, the same within an hour so that caches can work."""

from __future__ import annotations

import hashlib
import hmac
import time
from urllib.parse import quote

from domain.errors import Forbidden
from projections.frames.rows import Link
from projections.frames.thumbnails import ThumbnailLink

HOURS = 49
"""Links promise 48 hours; they are made to the full hour."""

THUMBNAIL = b"thumbnail:"
"""Keeps links of thumbnails and of versions apart."""


class Links:
    """Makes and checks links. The key is secret; a link shows only who may fetch what until when."""

    def __init__(self, key: bytes) -> None:
        self._mac = hmac.new(key, digestmod=hashlib.sha256)

    def maker(self, base: str) -> Link:
        """A function that makes the link of one version below `base`, such as `https://archive.example.org`."""
        expires = (int(time.time()) // 3600 + HOURS) * 3600

        def link(version_id: int, filename: str) -> str:
            signature = self._sign(version_id, expires)
            return f"{base}/files/{version_id}/{quote(filename)}?expires={expires}&signature={signature}"

        return link

    def thumbnail_maker(self, base: str) -> ThumbnailLink:
        """The same for thumbnails."""
        expires = (int(time.time()) // 3600 + HOURS) * 3600

        def link(thumbnail_id: int, filename: str) -> str:
            signature = self._sign(thumbnail_id, expires, THUMBNAIL)
            return f"{base}/files/thumbnails/{thumbnail_id}/{quote(filename)}?expires={expires}&signature={signature}"

        return link

    def check(self, number: int, expires: int, signature: str, kind: bytes = b"") -> None:
        """Raise Forbidden for a link that we didn't make or that has expired. `number` is the id of a version, or of
        what `kind` says."""
        if not hmac.compare_digest(signature.encode(), self._sign(number, expires, kind).encode()):
            raise Forbidden("This link isn't valid.")
        if expires < time.time():
            raise Forbidden("This link has expired; ask the archive for a new one.")

    def _sign(self, number: int, expires: int, kind: bytes = b"") -> str:
        mac = self._mac.copy()
        mac.update(b"%s%d:%d" % (kind, number, expires))
        return mac.hexdigest()[:40]
