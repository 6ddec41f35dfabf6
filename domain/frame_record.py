"""What the archive knows of a frame: the record that a file's headers give (contracts: OCS archive record)."""

from __future__ import annotations

import unicodedata
from datetime import date, datetime
from typing import Any

import msgspec

from domain.footprint import Footprint


class FrameRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Scalars, footprint and related names of one frame.

    Times are aware and UTC; `exposure_time` is in seconds; `reduction_level` 0 is raw; `observation_id` and
    `request_id` are the scheduler's numbers; `related` holds basenames. A null `public_date` is never public; a
    null `observation_date` hides the frame.
    """

    basename: str
    observation_day: date | None = None
    configuration_type: str = ""
    observation_date: datetime | None = None
    public_date: datetime | None = None
    proposal_id: str = ""
    instrument_id: str = ""
    target_name: str = ""
    site_id: str = ""
    telescope_id: str = ""
    primary_optical_element: str = ""
    reduction_level: int = 0
    exposure_time: float | None = None
    observation_id: int | None = None
    request_id: int | None = None
    area: Footprint | None = None
    related: tuple[str, ...] = ()


def split_name(filename: str) -> tuple[str, str]:
    """`('x', '.fits.fz')` for `x.fits.fz`: the basename ends at the first dot, the extension keeps its dot."""
    name = filename.rsplit("/", 1)[-1]
    base, dot, rest = name.partition(".")
    return base, dot + rest


def folded(text: str) -> str:
    """Lower case without accents: how targets are searched. Characters that have no ASCII form stay."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(character for character in decomposed if not unicodedata.combining(character)).lower()


class _Submitted(msgspec.Struct):
    USERID: Any = None


_submitted = msgspec.json.Decoder(_Submitted)


def submitter_of(headers: msgspec.Raw) -> str:
    """Who asked for the frame: its header USERID, where that is text. Only this key is made into a value."""
    try:
        user = _submitted.decode(headers).USERID
    except msgspec.DecodeError:
        return ""  # the original took headers that are no object
    return user if isinstance(user, str) and "\0" not in user else ""
