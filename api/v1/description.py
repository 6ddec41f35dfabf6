"""`/api/v1/openapi.json`: our own API as an OpenAPI document."""

from __future__ import annotations

from litestar import Response, get

from api.openapi import Answer, Operation, Surface, document
from api.serving import AnyRequest, base_url, serving_of
from api.v1.answers import json_answer
from api.v1.description_deliveries import deliveries
from api.v1.description_delivery import observations, storage, transfers
from api.v1.description_files import ingest
from api.v1.description_groups import groups
from api.v1.description_history import history
from api.v1.description_notices import mail, webhooks
from api.v1.description_parts import problem
from api.v1.description_schemas import schemas
from api.v1.description_states import states

_TAGS = {
    "ingest": "Files in.",
    "observations": "What owners asked for, and where its files go.",
    "storage": "Places that copies can go to.",
    "groups": "Organizations and projects: members with permissions, to whom destinations can belong.",
    "transfers": "One version on its way to one destination.",
    "deliveries": "Frames that go to a destination beyond what an observation selects.",
    "notices": "Being told what happens to transfers.",
    "history": "What happened, from the events.",
    "service": "The service itself.",
}
_ABOUT = (
    "Ids are strings, times ISO 8601 in UTC. Errors are problem details (RFC 9457). Lists come newest first. "
    "Every answer names its request in `X-Request-ID`; a request may bring its own. "
    "The archive's interface at the root is described at `/openapi/`."
)


def operations() -> list[Operation]:
    """Every method of every path below `/api/v1`."""
    return [
        *ingest(),
        *observations(),
        *storage(),
        *groups("organization"),
        *groups("project"),
        *transfers(),
        *deliveries(),
        *webhooks(),
        *mail(),
        *history(),
        *states(),
        Operation(
            method="get",
            path="/api/v1/openapi.json",
            tag="service",
            summary="This description.",
            answers={200: Answer("An OpenAPI document.", {"type": "object"})},
        ),
    ]


def surface() -> Surface:
    """The whole own API."""
    return Surface(
        title="Starferry: own API",
        description=_ABOUT,
        tags=_TAGS,
        operations=operations(),
        schemas=schemas(),
        error=problem("An error."),
        refusal=problem("Bad input; the detail says what to mend."),
    )


@get("/openapi.json")
async def description(request: AnyRequest) -> Response[bytes]:
    """The OpenAPI document."""
    core = serving_of(request).core
    return json_answer(document(surface(), base_url(core, request)))
