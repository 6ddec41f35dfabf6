"""`/api/v1/transfers/events`: what happens to transfers, as it happens (server-sent events, S58)."""

from __future__ import annotations

from litestar import get
from litestar.response import Stream

from api.serving import AnyRequest, serving_of
from api.v1.answers import LARGEST
from api.v1.transfers import FILTERS
from application.permissions import must_be_known
from domain.errors import InvalidInput

EVENT_FILTERS = tuple(name for name in FILTERS if name != "status")
"""A transfer keeps these all its life."""
MEDIA = "text/event-stream"


@get(["/transfers/events", "/stream"])
async def transfer_events(request: AnyRequest) -> Stream:
    """State changes and progress of the transfers that `GET /transfers` shows the asker."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    must_be_known(viewer)
    filters = {name: request.query_params[name] for name in EVENT_FILTERS if request.query_params.get(name)}
    news = serving.feed.listen(viewer, filters, _after(request))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx would keep it back
    return Stream(news, media_type=MEDIA, headers=headers)


def _after(request: AnyRequest) -> int | None:
    """Where to go on: as the browser says that comes back, else as the address says; None for from now on."""
    text = request.headers.get("last-event-id") or request.query_params.get("after", "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > 19 or int(text) > LARGEST:
        raise InvalidInput("after, like Last-Event-ID, is the id of an event that you were told.", field="after")
    return int(text)
