"""Rows of the read model as they are answered: one struct a frame, made fast and encoded in one go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Raw, UnsetType

from projections.frames.thumbnails import ThumbnailRow

COLUMNS = (
    "f.id, f.basename, f.observation_date, f.observation_day, f.proposal_id, f.instrument_id, f.target_name, "
    "f.reduction_level, f.site_id, f.telescope_id, f.exposure_time, f.primary_optical_element, f.public_date, "
    "f.configuration_type, f.observation_id, f.request_id, f.area, f.version_set"
)
AREA = 16
"""The place of the footprint among them."""


class VersionRow(msgspec.Struct):
    """A version as clients see it; `url` is made when it is answered."""

    id: int
    key: str
    md5: str
    extension: str
    created: datetime
    url: str = ""


class FrameRow(msgspec.Struct):
    """A frame as clients see it, in the order of the contract; the upper-case names are for old clients."""

    id: int
    basename: str
    observation_date: datetime | None
    observation_day: date | None
    proposal_id: str
    instrument_id: str
    target_name: str
    reduction_level: int
    site_id: str
    telescope_id: str
    exposure_time: float | None
    primary_optical_element: str
    public_date: datetime | None
    configuration_type: str
    observation_id: int | None
    request_id: int | None
    version_set: list[VersionRow]
    url: str | None
    filename: str | None
    thumbnails: list[ThumbnailRow] | UnsetType
    DATE_OBS: datetime | None
    DAY_OBS: date | None
    PROPID: str
    INSTRUME: str
    OBJECT: str
    RLEVEL: int
    SITEID: str
    TELID: str
    EXPTIME: float | None
    FILTER: str
    L1PUBDAT: datetime | None
    OBSTYPE: str
    BLKUID: int | None
    REQNUM: int | None
    area: Raw | UnsetType = UNSET
    related_frames: list[int] | UnsetType = UNSET


Link = Callable[[int, str], str]
"""Makes the download link of a version from its id and file name."""


def path_links(files_url: str, paths: Mapping[int, str]) -> Link:
    """Links straight to the files that another server offers below `files_url`; `paths` are by version."""
    return lambda version_id, _: f"{files_url}{quote(paths[version_id])}" if version_id in paths else ""


_versions = msgspec.json.Decoder(list[VersionRow])
_encoder = msgspec.json.Encoder()


def frame_row(
    row: tuple[Any, ...],
    related: list[int] | None,
    link: Link,
    thumbnails: list[ThumbnailRow] | UnsetType = UNSET,
) -> FrameRow:
    """One row of COLUMNS as it is answered."""
    (
        id_,
        basename,
        observation_date,
        observation_day,
        proposal,
        instrument,
        target,
        level,
        site,
        telescope,
        exposure,
        element,
        public,
        kind,
        observation,
        request,
        area,
        version_set,
    ) = row
    versions = _versions.decode(f"[{version_set}]")
    for version in versions:
        version.url = link(version.id, basename + version.extension)
    newest = versions[0] if versions else None
    return FrameRow(
        id_,
        basename,
        observation_date,
        observation_day,
        proposal,
        instrument,
        target,
        level,
        site,
        telescope,
        exposure,
        element,
        public,
        kind,
        observation,
        request,
        versions,
        newest.url if newest else None,
        basename + newest.extension if newest else None,
        thumbnails,
        observation_date,
        observation_day,
        proposal,
        instrument,
        target,
        level,
        site,
        telescope,
        exposure,
        element,
        public,
        kind,
        observation,
        request,
        UNSET if area is None else Raw(area.encode()),
        UNSET if related is None else related,
    )


def encode(value: object) -> bytes:
    """JSON, with times as the contract wants them."""
    return _encoder.encode(value)
