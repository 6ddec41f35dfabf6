"""`/api/v1/path-preview`: where copies would land, before a template is saved (S20)."""

from __future__ import annotations

import msgspec
from litestar import Response, post

from api.operations import matching_frames
from api.serving import AnyRequest, in_thread, serving_of
from api.v1.answers import body_of, json_answer
from application.commands.preview_paths import Draft, preview_paths
from application.permissions import must_be_known
from domain.errors import InvalidInput
from domain.storage_configs import FileContent

MOST = 100
"""Frames of one preview: each is read from the log."""


class PreviewBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A template as it is thought of. What is left out is taken from the storage configuration, if one is named, else
    as for a new one."""

    storage_config: str = ""
    destination_path: str | None = None
    path_template: str | None = None
    file_content: FileContent | None = None
    limit: int = 10


@post("/path-preview", status_code=200)
async def preview(request: AnyRequest) -> Response[bytes]:
    """The paths that the newest frames which the asker may see would get; nothing is saved."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    must_be_known(viewer)
    body = await body_of(request, PreviewBody)
    if not 1 <= body.limit <= MOST:
        raise InvalidInput(f"limit is a number from 1 to {MOST}.", field="limit")
    core = serving.core
    draft = Draft(
        destination_path=body.destination_path, path_template=body.path_template, file_content=body.file_content
    )
    shown = await in_thread(
        preview_paths,
        core.log,
        matching_frames(core),
        core.clock,
        viewer,
        draft,
        storage_config=body.storage_config,
        limit=body.limit,
    )
    return json_answer({"results": shown})
