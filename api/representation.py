"""What HTTP says about parts of a file, and about files that the client has already (RFC 9110, chapters 13 and 14)."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

import msgspec

_RANGE = re.compile(r"([0-9]{0,18})-([0-9]{0,18})")
_HEX = re.compile(r"(?:[0-9a-f]{2})+")


class Representation(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it can be downloaded: its bytes never change. `md5` is lower-case hex, or whatever an ingester gave;
    `sha256` is None where nobody has computed it."""

    size: int
    md5: str
    sha256: bytes | None
    modified: datetime

    @property
    def etag(self) -> str:
        """A strong validator: it names the bytes."""
        if self.sha256:
            return f'"{self.sha256.hex()}"'
        return f'"{self.md5}"' if _HEX.fullmatch(self.md5) else f'W/"{self.size}"'

    @property
    def headers(self) -> dict[str, str]:
        """What is said about the file in every answer; digests as RFC 9530 has them, base64 of the whole file's."""
        digests = {"sha-256": self.sha256}
        digests["md5"] = bytes.fromhex(self.md5) if _HEX.fullmatch(self.md5) else None
        known = [f"{name}=:{base64.b64encode(digest).decode()}:" for name, digest in digests.items() if digest]
        headers = {
            "Accept-Ranges": "bytes",
            "ETag": self.etag,
            "Last-Modified": format_datetime(self.modified.astimezone(UTC).replace(microsecond=0), usegmt=True),
        }
        return headers | ({"Repr-Digest": ", ".join(known)} if known else {})


class Selection(msgspec.Struct, frozen=True):
    """What to answer: a status, and the bytes from `start` up to `end`."""

    status: int
    start: int = 0
    end: int = 0


def select(file: Representation, headers: Mapping[str, str], method: str) -> Selection:
    """200 with everything, 206 with a part, 304 or 412 by what the client has, 416 for a part that isn't there.

    Of several ranges in one request none is served apart: the answer is the whole file, as the RFC allows.
    """
    if unmet := _unmet(file, headers):
        return Selection(unmet)
    whole = Selection(200, 0, file.size)
    asked = headers.get("range", "") if method == "GET" else ""
    condition = headers.get("if-range", "").strip()
    if not asked or (condition and not _same(file, condition)):
        return whole
    ranges = _ranges(asked, file.size)
    if ranges is None:
        return whole
    served = [(start, end) for start, end in ranges if start < end]
    if not served:
        return Selection(416)
    return Selection(206, *served[0]) if len(ranges) == 1 else whole


def _unmet(file: Representation, headers: Mapping[str, str]) -> int:
    """The status of the first precondition that doesn't hold; 0 when all do. Their order is the RFC's (13.2.2)."""
    modified = file.modified.replace(microsecond=0)
    if "if-match" in headers:
        if not _names(headers["if-match"], file.etag, weak=False):
            return 412
    elif (moment := _moment(headers.get("if-unmodified-since"))) and modified > moment:
        return 412
    if "if-none-match" in headers:
        return 304 if _names(headers["if-none-match"], file.etag, weak=True) else 0
    moment = _moment(headers.get("if-modified-since"))
    return 304 if moment and modified <= moment else 0


def _same(file: Representation, condition: str) -> bool:
    """Whether If-Range names these bytes; weak validators never do."""
    if condition.endswith('"'):
        return condition == file.etag and not condition.startswith("W/")
    return _moment(condition) == file.modified.replace(microsecond=0)


def _names(text: str, etag: str, *, weak: bool) -> bool:
    """Whether a list of entity tags has this one; a weak comparison passes over the mark of weakness."""
    if text.strip() == "*":
        return True
    tags = re.findall(r'(?:W/)?"[^"]*"', text)
    if weak:
        return etag.removeprefix("W/") in (tag.removeprefix("W/") for tag in tags)
    return etag in tags and not etag.startswith("W/")


def _moment(text: str | None) -> datetime | None:
    with contextlib.suppress(ValueError, TypeError, IndexError, OverflowError):
        moment = parsedate_to_datetime(text or "")
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def _ranges(text: str, size: int) -> list[tuple[int, int]] | None:
    """Start and end (exclusive) of each range; an empty one isn't in the file. None when the header can't be read."""
    unit, _, listed = text.partition("=")
    if unit.strip().lower() != "bytes":
        return None
    found = []
    for part in listed.split(","):
        match = _RANGE.fullmatch(part.strip())
        if not match or not (match[1] or match[2]):
            return None
        first, last = match[1], match[2]
        if first and last and int(last) < int(first):
            return None
        if first:
            found.append((int(first), min(int(last) + 1, size) if last else size))
        else:
            found.append((max(0, size - int(last)), size))
    return found
