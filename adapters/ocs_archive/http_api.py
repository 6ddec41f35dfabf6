"""The original's HTTP API as a way in, for those who can't reach its database.

It shows less: no users and tokens, no placeholders, and no frames without versions. What a frame is related to comes as
ids; a link stands in both frames, so the one that comes later names the other, whose name is known by then.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec
import requests

from adapters.ocs_archive.headers import compact
from application.ports.original_archive import (
    OriginalAccount,
    OriginalFrame,
    OriginalPage,
    OriginalThumbnail,
    OriginalVersion,
    Refused,
    Totals,
)
from domain.errors import InvalidInput, RetryLater, Unauthenticated
from domain.footprint import Footprint
from domain.frame_record import FrameRecord

PAGE = 500
TRIES = 6
TIMEOUT = (10, 120)
LONGEST_WAIT = 600.0


class _Version(msgspec.Struct):
    id: int
    key: str
    md5: str
    extension: str
    created: datetime | None = None


class _Thumbnail(msgspec.Struct):
    id: int
    basename: str
    extension: str
    size: str
    key: str


class _Frame(msgspec.Struct):
    id: int
    basename: str
    version_set: list[_Version]
    observation_date: datetime | None = None
    observation_day: date | None = None
    proposal_id: str | None = None
    instrument_id: str | None = None
    target_name: str | None = None
    reduction_level: int = 0
    site_id: str | None = None
    telescope_id: str | None = None
    exposure_time: float | None = None
    primary_optical_element: str | None = None
    public_date: datetime | None = None
    configuration_type: str | None = None
    observation_id: int | None = None
    request_id: int | None = None
    area: Footprint | None = None
    related_frames: list[int] = []
    thumbnails: list[_Thumbnail] = []


class _Page(msgspec.Struct):
    results: list[msgspec.Raw]
    next: str | None = None
    count: int | None = None


class _Headers(msgspec.Struct):
    data: msgspec.Raw


_TAKEN_AS_IT_IS = [name for name in FrameRecord.__struct_fields__ if name not in ("area", "related")]


class ApiArchive:
    """Implements OriginalArchive. `token` should be a superuser's: others don't see everything."""

    def __init__(self, root: str, token: str, *, connections: int = 8) -> None:
        parts = urlsplit(root)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
            raise InvalidInput("The original's address must be like https://archive.example.org/, without a password.")
        self.name = f"API at {parts.hostname}"
        self._root = root if root.endswith("/") else f"{root}/"
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Token {token}"
        self._session.headers["Accept"] = "application/json"
        self._session.mount(self._root, requests.adapters.HTTPAdapter(pool_maxsize=connections))
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="headers")
        self._names: dict[int, str] = {}

    def close(self) -> None:
        """Give the connections back."""
        self._threads.shutdown(cancel_futures=True)
        self._session.close()

    def totals(self) -> Totals:
        """See OriginalArchive.totals."""
        page = self._decoded("frames/?limit=1&force_count=true&include_related_frames=false", _Page)
        return Totals(page.count or 0)

    def largest_id(self) -> int:
        """See OriginalArchive.largest_id. A thumbnail's is guessed from their count: no list has the newest first."""
        page = self._decoded("frames/?limit=1&ordering=-id&include_related_frames=false", _Page)
        versions = self._decoded("versions/?limit=1", _Page, missing=_Page([]))
        found: list[int] = [msgspec.json.decode(raw)["id"] for raw in (*page.results, *versions.results)]
        thumbnails = self._decoded("thumbnails/?limit=1", _Page, missing=_Page([]))
        return max([0, *found, thumbnails.count or 0])

    def pages(self) -> Iterator[OriginalPage]:
        """See OriginalArchive.pages."""
        query = f"frames/?ordering=id&limit={PAGE}&include_thumbnails=true"
        address, offset = f"{query}&pagination_style=cursor", 0
        while address:
            page = self._decoded(address, _Page)
            if page.results:
                yield self._page(page.results)
            offset += len(page.results)
            if page.count is None:
                # of the link only the query: behind a proxy the original may not know its own address
                address = f"frames/?{urlsplit(page.next).query}" if page.next else ""
            else:  # an older release, whose `next` follows an estimate and may end too early
                address = f"{query}&offset={offset}" if page.results else ""

    def headers(self, frame_ids: Sequence[int]) -> Mapping[int, msgspec.Raw]:
        """See OriginalArchive.headers."""
        found = self._threads.map(self._headers_of, frame_ids)
        return {id_: raw for id_, raw in zip(frame_ids, found, strict=True) if raw is not None}

    def accounts(self) -> Sequence[OriginalAccount]:
        """None: the API doesn't show them."""
        return []

    def _headers_of(self, frame_id: int) -> msgspec.Raw | None:
        answer = self._decoded(f"frames/{frame_id}/headers/", _Headers, missing=_Headers(msgspec.Raw()))
        return compact(bytes(answer.data)) if bytes(answer.data) else None

    def _page(self, results: Sequence[msgspec.Raw]) -> OriginalPage:
        frames, refused = [], []
        for raw in results:
            try:
                frames.append(self._frame(msgspec.json.decode(raw, type=_Frame)))
            except msgspec.DecodeError as error:
                loose: Any = msgspec.json.decode(raw)
                name = loose.get("id") if isinstance(loose, dict) else None
                refused.append(Refused(f"frame {name}", f"the API's answer isn't a frame: {error}"))
        return OriginalPage(frames, refused)

    def _frame(self, frame: _Frame) -> OriginalFrame:
        self._names[frame.id] = frame.basename
        fields = {name: getattr(frame, name) for name in _TAKEN_AS_IT_IS if getattr(frame, name) is not None}
        for name in ("observation_date", "public_date"):
            if name in fields:
                fields[name] = _utc(fields[name])
        related = tuple(self._names[id_] for id_ in frame.related_frames if id_ < frame.id and id_ in self._names)
        versions = [
            OriginalVersion(one.id, one.key, one.md5, one.extension, one.created and _utc(one.created))
            for one in frame.version_set
        ]
        return OriginalFrame(
            id=frame.id,
            record=FrameRecord(**fields, area=frame.area, related=related),
            versions=tuple(sorted(versions, key=lambda one: (one.created or datetime.min.replace(tzinfo=UTC), one.id))),
            thumbnails=tuple(
                OriginalThumbnail(one.id, one.basename, one.extension, one.size, one.key) for one in frame.thumbnails
            ),
        )

    def _decoded(self, path: str, kind: type[Any], *, missing: Any = None) -> Any:
        answer = self._get(urljoin(self._root, path))
        if answer.status_code in (403, 404) and missing is not None:  # /versions/ is for staff alone
            return missing
        if answer.status_code in (401, 403):
            raise Unauthenticated("The original's API refuses the token; it must be a superuser's.")
        if answer.status_code != 200:
            raise InvalidInput(f"The original's API answers {answer.status_code} to {path.partition('?')[0]}.")
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except msgspec.DecodeError as error:
            raise InvalidInput(f"What is at {self._root} doesn't answer like an archive of the OCS.") from error

    def _get(self, address: str) -> requests.Response:
        """The answer, after some patience with a server that is busy. Raises RetryLater."""
        wait = 1.0
        for attempt in range(TRIES):
            if attempt:
                time.sleep(wait)
                wait *= 2
            try:
                answer = self._session.get(address, timeout=TIMEOUT, allow_redirects=False)
            except requests.RequestException:
                continue
            if answer.status_code != 429 and answer.status_code < 500:
                return answer
            asked = answer.headers.get("Retry-After", "")
            if asked.isdecimal():
                if int(asked) > LONGEST_WAIT:
                    raise RetryLater(f"The original's API wants us to wait {asked} seconds; run the import again then.")
                wait = max(wait, float(asked))
        raise RetryLater("The original's API doesn't answer; run the import again later, it goes on where it was.")


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
