"""From the query of an address of `/frames/` to a saved query. Stricter than the list: what it would ignore is refused,
for a misspelt filter would deliver far more than was meant."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl

from api.ocs.filters import (
    EQUAL_DAY,
    EQUAL_NUMBER,
    EQUAL_TEXT,
    EQUAL_TIME,
    FilterErrors,
    Parameters,
    boolean,
    parse_search,
)
from application.ports.sky import Sky
from domain.errors import InvalidInput
from domain.frame_query import FrameQuery
from projections.frames.matching import query_of_search

LONGEST = 20_000
"""Characters of a query: it stands in an event. A region of several hundred corners fits."""

MOST_FILTERS = 200

FILTERS = frozenset(
    "start end basename OBJECT target_name target_name_exact empty_target_name exposure_time EXPTIME "
    "include_configuration_type exclude_configuration_type exclude_OBSTYPE exclude_calibrations public submitter "
    "covers intersects".split()
).union(EQUAL_TEXT, EQUAL_NUMBER, EQUAL_TIME, EQUAL_DAY)
_TRUTHS = ("exclude_calibrations", "public")


def parse_query(text: str, sky: Sky, *, types: Sequence[str], science_types: Sequence[str]) -> FrameQuery:
    """The query that `site_id=coj&reduction_level=0` asks for. Raises InvalidInput, naming the filter to mend."""
    if len(text) > LONGEST:
        raise InvalidInput(f"A query has at most {LONGEST} characters.", field="query")
    if not text.isprintable():
        raise InvalidInput("A query holds no control characters; write them as %09.", field="query")
    try:
        parameters = parse_qsl(text.removeprefix("?"), keep_blank_values=True, max_num_fields=MOST_FILTERS)
    except ValueError as error:
        raise InvalidInput(f"A query has at most {MOST_FILTERS} filters.", field="query") from error
    _check(parameters)
    try:
        search = parse_search(parameters, sky, types=types, science_types=science_types)
    except FilterErrors as error:
        name, sentences = next(iter(error.errors.items()))
        raise InvalidInput(f"The query's {name} can't be used: {sentences[0]}", field="query") from error
    given = dict(parameters)
    return query_of_search(search, covers=given.get("covers", ""), intersects=given.get("intersects", ""))


def _check(parameters: Parameters) -> None:
    for name, value in parameters:
        if name not in FILTERS:
            message = (
                f"The query has no filter {name[:50]!r}; filters are those of /frames/, without paging or ordering."
            )
            raise InvalidInput(message, field="query")
        if not value.strip():
            raise InvalidInput(f"The query's {name} has no value, so it would narrow nothing.", field="query")
        if name in _TRUTHS and boolean(value) is None:
            raise InvalidInput(f"The query's {name} is true or false.", field="query")
