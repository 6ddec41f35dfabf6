"""`?at=`: the frames as they were at a position of the log, or at a time (docs/adr/0037)."""

from __future__ import annotations

from datetime import datetime

import msgspec

from api.ocs.filters import FilterErrors, Parameters, moment
from api.read_gate import HEADER
from api.serving import AnyRequest, Serving, in_thread
from application.permissions import Principal, must_be_superuser
from application.positions import point_of
from domain.errors import InvalidInput, RetryLater
from projections.facets.query import FacetQueries
from projections.frames.past_values import PastValues
from projections.frames.query import FrameQueries

BAD = "Enter a position of the log, or a date/time."


class Standpoint(msgspec.Struct, frozen=True):
    """From where frames are looked at: now, or as of a `position`. `now` is what counts as the present there;
    `parameters` are the request's, with the position in place of a time, so that links can be cited."""

    frames: FrameQueries
    facets: FacetQueries | PastValues
    now: datetime
    parameters: Parameters
    position: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What the answer says of it."""
        return {} if self.position is None else {HEADER: str(self.position)}


async def standpoint(serving: Serving, request: AnyRequest, viewer: Principal) -> Standpoint:
    """Where the request wants to stand. Raises Unauthenticated and Forbidden for those who may not look back,
    FilterErrors for what is no place in the log, RetryLater while the read models haven't come to it."""
    parameters = list(request.query_params.multi_items())
    now = serving.core.clock.now()
    text = next((value for name, value in reversed(parameters) if name == "at" and value), "")
    if not text:
        return Standpoint(serving.frames, serving.facets, now, parameters)
    must_be_superuser(viewer)
    try:
        point = await in_thread(point_of, serving.core.log, place_of(text), now)
    except InvalidInput as error:
        raise FilterErrors({"at": [str(error)]}) from error
    if not await serving.gate.reached(point.position):
        raise RetryLater("The read models haven't come to that position yet; try again in a moment.")
    cited = [(name, value) for name, value in parameters if name != "at"] + [("at", str(point.position))]
    frames, facets = serving.as_of(point.position)
    return Standpoint(frames, facets, point.at or now, cited, point.position)


def place_of(text: str) -> int | datetime:
    """A position, or a time (UTC without an offset). Raises InvalidInput for what is neither."""
    text = text.strip()
    if text.isascii() and text.isdecimal() and len(text) < 19:
        return int(text)
    try:
        return moment(text)
    except (ValueError, OverflowError):
        raise InvalidInput(BAD, field="at") from None
