"""Query parameters of `/frames/` as a FrameSearch (contracts: 1.6), with the exact sentences for bad values.

Unknown parameters are ignored, empty values count as not given, and of repeated scalars the last one wins.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from application.ports.sky import Sky
from domain.frame_record import folded
from projections.frames.search import ORDERINGS, FrameSearch

EQUAL_TEXT = {
    "proposal_id": "proposal_id",
    "PROPID": "proposal_id",
    "instrument_id": "instrument_id",
    "INSTRUME": "instrument_id",
    "site_id": "site_id",
    "SITEID": "site_id",
    "telescope_id": "telescope_id",
    "TELID": "telescope_id",
    "primary_optical_element": "primary_optical_element",
    "FILTER": "primary_optical_element",
    "configuration_type": "configuration_type",
    "OBSTYPE": "configuration_type",
    "basename_exact": "basename",
}
EQUAL_NUMBER = {
    "observation_id": "observation_id",
    "BLKUID": "observation_id",
    "request_id": "request_id",
    "REQNUM": "request_id",
    "reduction_level": "reduction_level",
    "RLEVEL": "reduction_level",
}
EQUAL_TIME = {"DATE_OBS": "observation_date", "L1PUBDAT": "public_date"}
EQUAL_DAY = {"dayobs": "observation_day", "DAY_OBS": "observation_day"}
_DAY_FORMATS = ("%Y-%m-%d", "%m/%d/%Y", "%m/%d/%y", "%b %d %Y", "%b %d, %Y", "%d %b %Y", "%d %b, %Y",
                "%B %d %Y", "%B %d, %Y", "%d %B %Y", "%d %B, %Y")  # fmt: skip
_US_TIMES = ("%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y")


class FilterErrors(Exception):
    """Bad parameters: name → sentences."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__("bad query parameters")
        self.errors = errors


class Controls(msgspec.Struct, frozen=True):
    """What shapes the answer rather than choosing its rows."""

    limit: int
    offset: int
    order: tuple[tuple[str, bool], ...]
    related: bool
    thumbnails: bool
    force_count: bool
    by_cursor: bool
    cursor: str
    after: str


Parameters = Sequence[tuple[str, str]]


def parse_search(
    parameters: Parameters, sky: Sky, *, types: Sequence[str], science_types: Sequence[str]
) -> FrameSearch:
    """The search that the parameters ask for. Raises FilterErrors, and InvalidGeometry for covers and intersects."""
    given = {name: value for name, value in parameters if value != ""}
    errors: dict[str, list[str]] = {}
    equal: dict[str, Any] = {}

    def take(name: str, parse: Callable[[str], Any], message: str) -> Any:
        value = given.get(name)
        if value is None:
            return None
        if "\0" in value:
            errors[name] = ["Null characters are not allowed."]
            return None
        try:
            return parse(value)
        except (ValueError, OverflowError):
            errors[name] = [message]
            return None

    def text(name: str) -> str:
        return take(name, str, "") or ""

    never = False

    for names, parse, message in (
        (EQUAL_TEXT, str, ""),
        (EQUAL_NUMBER, whole_number, "Enter a number."),
        (EQUAL_TIME, moment, "Enter a valid date/time."),
        (EQUAL_DAY, day, "Enter a valid date."),
    ):
        for name, column in names.items():
            value = take(name, parse, message)
            if value is not None:
                never |= equal.setdefault(column, value) != value  # old and new name ask for different things
    types_in = _choices("include_configuration_type", parameters, types, errors)
    excluded = [
        value
        for name in ("exclude_configuration_type", "exclude_OBSTYPE")
        for value in _choices(name, parameters, types, errors)
    ]
    if boolean(given.get("exclude_calibrations")) is True:
        never |= bool(types_in) and not set(types_in) & set(science_types)
        types_in = tuple(value for value in science_types if value in types_in) if types_in else tuple(science_types)
    exposures = [take(name, number, "Enter a number.") for name in ("exposure_time", "EXPTIME")]
    search = FrameSearch(
        never=never,
        equal=equal,
        start=take("start", moment, "Enter a valid date/time."),
        end=take("end", moment, "Enter a valid date/time."),
        basename=text("basename"),
        target=text("OBJECT"),
        target_folded=text("target_name"),
        target_exact=_as_given_and_folded(text("target_name_exact")),
        empty_target="empty_target_name" in given,
        exposure_time=max((bound for bound in exposures if bound is not None), default=None),
        types_in=types_in,
        types_not_in=tuple(excluded),
        public=boolean(given.get("public")),
        submitter=_as_given_and_folded(text("submitter")),
    )
    if errors:
        raise FilterErrors(errors)
    return msgspec.structs.replace(
        search,
        covers=sky.parse(given["covers"], "covers") if "covers" in given else None,
        intersects=sky.parse(given["intersects"], "intersects") if "intersects" in given else None,
    )


def parse_controls(parameters: Parameters, *, default_limit: int, max_limit: int) -> Controls:
    """Paging, ordering and includes; whatever can't be understood counts as not given (contracts: 1.7)."""
    given = dict(parameters)
    return Controls(
        limit=min(_at_least(given.get("limit"), 1, default_limit), max_limit),
        offset=min(_at_least(given.get("offset"), 0, 0), 2**62),
        order=_order(given.get("ordering", "")),
        related=given.get("include_related_frames", "").lower() != "false",
        thumbnails=given.get("include_thumbnails", "").lower() == "true",
        force_count="force_count" in given,
        by_cursor=given.get("pagination_style") == "cursor",
        cursor=given.get("cursor", ""),
        after=given.get("after", ""),
    )


def moment(text: str) -> datetime:
    """An instant in any of the accepted forms; without an offset it is UTC."""
    text = text.strip()
    for form in _US_TIMES:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    parsed = datetime.fromisoformat(text)
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def day(text: str) -> date:
    """A day in any of the accepted forms (YYYYMMDD is not one of them)."""
    for form in _DAY_FORMATS:
        try:
            return datetime.strptime(text.strip(), form).date()
        except ValueError:
            continue
    raise ValueError(text)


def whole_number(text: str) -> int:
    """A number for an integer column; one that no row can have is still a number."""
    value = number(text)
    if not -(2**31) <= value < 2**31 or value != int(value):
        return -(2**31)
    return int(value)


def number(text: str) -> float:
    """A finite decimal number."""
    value = float(text)
    if not math.isfinite(value) or not re.fullmatch(r"\s*[+-]?[0-9.eE+-]+\s*", text):
        raise ValueError(text)
    return value


def boolean(text: str | None) -> bool | None:
    """true, false, 1 or 0 in any case; anything else counts as not given."""
    return {"true": True, "1": True, "false": False, "0": False}.get((text or "").lower())


def _choices(name: str, parameters: Parameters, types: Sequence[str], errors: dict[str, list[str]]) -> tuple[str, ...]:
    chosen = tuple(value for key, value in parameters if key == name and value)
    for value in chosen:
        if value not in types:
            errors[name] = [f"Select a valid choice. {value} is not one of the available choices."]
    return chosen


def _order(text: str) -> tuple[tuple[str, bool], ...]:
    terms = [term.strip() for term in text.split(",") if term.strip()]
    order = tuple((term.lstrip("-"), term.startswith("-")) for term in terms if term.removeprefix("-") in ORDERINGS)
    return order or (("observation_date", True),)


def _at_least(text: str | None, least: int, default: int) -> int:
    try:
        value = int(text or "")
    except ValueError:
        return default
    return value if value >= least else default


def _as_given_and_folded(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((text, _ascii(text)))) if text else ()


def _ascii(text: str) -> str:
    if text.isascii():
        return text
    lower = folded(text)
    return "".join(new.upper() if old.isupper() else new for old, new in zip(text, lower, strict=False))
