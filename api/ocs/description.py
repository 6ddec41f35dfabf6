"""`/openapi/`: the OCS surface as an OpenAPI document (row A41)."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import Response, get

from api.ocs.answers import json_answer
from api.ocs.description_files import file_operations, file_schemas
from api.ocs.description_frames import frame_operations
from api.ocs.description_people import PEOPLE_SCHEMAS, people_operations
from api.ocs.description_records import frame_schemas
from api.ocs.description_service import SERVICE_SCHEMAS, service_operations
from api.openapi import Answer, Surface, document, ref
from api.serving import AnyRequest, base_url, serving_of
from api.settings import Settings

OPENAPI = "application/vnd.oai.openapi"
_TAGS = {
    "frames": "Search frames, look at them, record and change them.",
    "files": "Versions of frames, thumbnails, downloads.",
    "people": "Who is asking: tokens, sessions, the portal.",
    "service": "The service itself.",
}
_ABOUT = (
    "The interface of the OCS science archive. Without credentials one sees what is public, with them also one's "
    "proposals' frames. Every GET route answers HEAD as well; a missing slash at the end is no error. "
    "Our own API is described at `/api/v1/openapi.json`."
)


def surface(settings: Settings, types: Sequence[str]) -> Surface:
    """The whole OCS surface, with the choices that these settings and configuration types allow."""
    frames = frame_schemas(types)
    return Surface(
        title="Starferry: the science archive's interface",
        description=_ABOUT,
        tags=_TAGS,
        operations=[
            *frame_operations(settings, types),
            *file_operations(settings),
            *people_operations(),
            *service_operations(),
        ],
        schemas={
            **frames,
            **file_schemas(settings, frames["FrameRecord"]),
            **PEOPLE_SCHEMAS,
            **SERVICE_SCHEMAS,
        },
        error=Answer("An error.", ref("Error")),
        refusal=Answer("Bad input, named by field.", ref("FieldErrors")),
    )


@get("/openapi")
async def openapi(request: AnyRequest) -> Response[bytes]:
    """The document. JSON is YAML too, so those who ask for the OpenAPI media type can read it."""
    serving = serving_of(request)
    described = surface(serving.core.settings, serving.types.known())
    answer = json_answer(document(described, base_url(serving.core, request)))
    if OPENAPI in request.headers.get("accept", "") and request.query_params.get("format") != "json":
        answer.media_type = OPENAPI
    return answer
