"""`/api/v1/events`: the feed of all events, for programs of superusers; without gaps, from any position on."""

from __future__ import annotations

from litestar import Response, get
from litestar.response import Stream

from api.event_feed import Question
from api.serving import AnyRequest, Serving, serving_of
from api.v1.answers import json_answer
from api.v1.event_questions import filter_of, number_of, truth_of
from api.v1.transfer_events import MEDIA
from application.history import entries
from application.permissions import must_be_superuser
from domain.errors import StarferryError

MOST_WAIT = 60
"""Seconds. Below what proxies and clients are patient for by default."""


@get("/events")
async def events(request: AnyRequest) -> Response[bytes] | Stream:
    """A page after a position, waited for if asked so; or, for those who accept it, a stream without an end."""
    serving = serving_of(request)
    must_be_superuser(await serving.viewer(request))
    query = request.query_params
    wanted = filter_of(request, "after", "limit", "wait", "headers")
    streamed = MEDIA in request.headers.get("accept", "")
    last = request.headers.get("last-event-id", "") if streamed else ""
    after = number_of("Last-Event-ID" if last else "after", last or query.get("after", "0"), 0)
    limit = number_of("limit", query.get("limit", "100"), 1, 1000)
    wait = number_of("wait", query.get("wait", "0"), 0, MOST_WAIT)
    question = Question(wanted=wanted, after=after, headers=truth_of(request, "headers"))
    if streamed:
        serving.events.check_place()
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx would keep it back
        return Stream(
            serving.events.stream(question, lambda: _still_may(serving, request)), media_type=MEDIA, headers=headers
        )
    found = await serving.events.page(question, limit, float(wait))
    results = entries(found.events, headers=question.headers)
    return json_answer({"results": results, "next": found.next, "head": await serving.events.head()})


async def _still_may(serving: Serving, request: AnyRequest) -> bool:
    """Whether whoever listens is still a superuser whose token or session is good."""
    try:
        must_be_superuser(await serving.asker(request, throttled=False))
    except StarferryError:
        return False
    return True
