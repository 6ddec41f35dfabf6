"""`POST /api/v1/ingest`: a FITS file in, streamed to the store; and the calibration pipeline's word."""

from __future__ import annotations

import time
from typing import Any, Literal

import msgspec
from litestar import Response, post
from litestar.params import FromPath

from api.intake import log_ingested, log_refused
from api.ocs.frames import as_created
from api.ocs.thumbnails import thumbnail_row
from api.read_gate import HEADER
from api.serving import AnyRequest, cause, in_thread, serving_of
from api.v1.answers import body_of, json_answer
from api.v1.metadata import parse_metadata
from api.v1.uploads import receive
from application.commands.calibration import report_calibration
from application.commands.ingest import ingest_file
from application.permissions import must_be_superuser
from domain.errors import AlreadyExists, InvalidInput, StarferryError


@post("/ingest", request_max_body_size=None)
async def ingest(request: AnyRequest) -> Response[bytes]:
    """Check a file, keep it, record it. 201 with the frame; 409 when these bytes are in the archive already."""
    serving = serving_of(request)
    principal = await serving.asker(request)
    must_be_superuser(principal)
    core = serving.core
    with core.store.staging() as staging:
        upload = await receive(
            request.headers.get("content-type", ""),
            request.stream(),
            staging,
            limit=core.settings["STARFERRY_MAX_FRAME_BYTES"],
        )
        filename = (upload.filename or "").replace("\\", "/").rsplit("/", 1)[-1]
        if not filename:
            raise InvalidInput("The file part has no file name.", field="file")
        metadata = parse_metadata(upload.fields.get("metadata") or "{}")
        began = time.monotonic()
        staged = await in_thread(staging.finish)
        try:
            ingested = await in_thread(
                ingest_file,
                staged,
                filename,
                reader=core.reader,
                store=core.store,
                log=core.log,
                numbers=core.numbers,
                clock=core.clock,
                cause=cause(principal, "api"),
                observation=upload.fields.get("observation") or None,
                calibrated_from=upload.fields.get("calibrated_from") or None,
                metadata=metadata,
                thumbnails=core.lookups,
            )
        except StarferryError as error:
            log_refused(filename, None, errors=str(error), known=isinstance(error, AlreadyExists))
            raise
    serving.metrics.took_in(ingested.frame, staged.size, None, time.monotonic() - began, core.clock.now())
    log_ingested(ingested.frame)
    serving.gate.wrote(principal.username, ingested.position)
    link = serving.link(request, ingested.frame.versions)
    await serving.gate.settle(principal.username)
    record = ingested.frame.record
    assert record is not None
    row = await serving.frames.by_basename(record.basename, principal, core.clock.now(), link)
    frame = (
        row if row is not None else await as_created(serving, request, principal, ingested.frame, {}, core.clock.now())
    )
    answer: dict[str, Any] = {"frame": frame}
    if thumbnail := ingested.thumbnail:
        answer["thumbnail"] = thumbnail_row(thumbnail, ingested.frame.id, serving.thumbnail_link(request))
    return json_answer(answer, status=201, headers={HEADER: str(ingested.position)})


class CalibrationReport(msgspec.Struct):
    """The pipeline's word on a raw frame."""

    outcome: Literal["failed", "no_masters"]
    reason: str = ""


@post("/frames/{basename:str}/calibration", status_code=200)
async def calibration(request: AnyRequest, basename: FromPath[str]) -> Response[bytes]:
    """No calibrated file will come for this frame."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    must_be_superuser(principal)
    report = await body_of(request, CalibrationReport)
    core = serving.core
    why = cause(principal, "api", report.reason)
    position = await in_thread(
        report_calibration, core.log, core.clock, why, principal, basename, report.outcome, report.reason
    )
    serving.gate.wrote(principal.username, position)
    return json_answer({"frame": basename, "outcome": report.outcome}, headers={HEADER: str(position)})
