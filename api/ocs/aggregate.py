"""`/frames/aggregate/`: which sites, telescopes, filters and so on occur among the frames (contracts: 1.11)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from litestar import Response, get

from api.ocs.answers import json_answer
from api.ocs.body_fields import BAD_TIME
from api.ocs.filters import FilterErrors
from api.ocs.time_travel import standpoint
from api.serving import AnyRequest, serving_of
from projections.facets.query import FacetSearch, Values
from projections.facets.tables import DIMENSIONS

KEYS = ("sites", "telescopes", "filters", "instruments", "obstypes", "proposals")
"""How the values of each of DIMENSIONS are called here."""
LONGEST = timedelta(days=365)
LONGEST_TIMEOUT = 20_000
"""Milliseconds. `query_timeout` is only looked at for its errors: no answer takes that long."""

_OF_THE_PAST, _OF_TODAY, _OWN = 86_400, 3_600, 300
"""Seconds that an answer may be kept by the client: to all, if its range is over; to all; to somebody known."""
_TRUE = frozenset("t y yes true on 1".split())
_FALSE = frozenset("f n no false off 0".split())


@get("/frames/aggregate")
async def aggregate(request: AnyRequest) -> Response[bytes]:
    """The values over all frames, or over those of a time range."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    there = await standpoint(serving, request, viewer)
    now = there.now
    given = {name: value for name, value in there.parameters if value}
    start, end, public = _parsed(given)
    equal = {name: given[name] for name in DIMENSIONS if name in given}
    generated, over = f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}Z", False
    if start is None and end is None and public is None and not equal:
        values = await there.facets.everything(viewer, now)
    elif start is None or end is None:
        return json_answer("both start & end must be specified", status=400)
    elif end - start > LONGEST:
        return json_answer("time range must be less than or equal to a year (365 days)", status=400)
    else:
        over = end <= now
        if viewer.authenticated or public:
            search = FacetSearch(start=start, end=end, public=bool(public), equal=equal)
            values = await there.facets.within(search, viewer, now)
        else:
            values, generated = tuple([] for _ in KEYS), ""
    age = _OWN if viewer.authenticated else _OF_THE_PAST if over else _OF_TODAY
    return json_answer(_body(values, generated), headers={"Cache-Control": f"max-age={age}", **there.headers})


def _body(values: Values, generated: str) -> dict[str, Any]:
    return {**dict(zip(KEYS, values, strict=True)), "generated_at": generated}


def _parsed(given: Mapping[str, str]) -> tuple[datetime | None, datetime | None, bool | None]:
    """Start and end to the minute, and `public`. Raises FilterErrors."""
    errors: dict[str, list[str]] = {}

    def take(name: str, parse: Callable[[str], Any]) -> Any:
        try:
            return parse(given[name].strip()) if name in given else None
        except ValueError as error:
            errors[name] = [str(error)]
            return None

    start, end, public = take("start", _minute), take("end", _minute), take("public", _boolean)
    take("query_timeout", _timeout)
    for name in DIMENSIONS:
        take(name, _text)
    if errors:
        raise FilterErrors(errors)
    return start, end, public


def _minute(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError(BAD_TIME) from None
    return moment.replace(second=0, microsecond=0)


def _boolean(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError("Must be a valid boolean.")


def _timeout(text: str) -> None:
    if not re.fullmatch(r"[+-]?[0-9]{1,100}(\.0*)?", text):
        raise ValueError("A valid integer is required.")
    milliseconds = int(text.split(".")[0])
    if milliseconds < 0:
        raise ValueError("Ensure this value is greater than or equal to 0.")
    if milliseconds > LONGEST_TIMEOUT:
        raise ValueError(f"Ensure this value is less than or equal to {LONGEST_TIMEOUT}.")


def _text(text: str) -> None:
    if "\0" in text:
        raise ValueError("Null characters are not allowed.")
