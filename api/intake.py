"""A file from this machine's disk into the archive: what `starferry ingest` and `starferry listen` share, and what
every ingest leaves in the logs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, BinaryIO

import msgspec
import structlog

from adapters.ingest_metrics import IngestMetrics
from api.bootstrap import Core
from application.commands.ingest import Ingested, ingest_file
from domain.errors import AlreadyExists, StarferryError
from domain.event import Cause
from domain.frames import Frame

logger = structlog.get_logger()

PIECE = 1024 * 1024


def take_in(
    core: Core,
    source: BinaryIO,
    filename: str,
    cause: Cause,
    *,
    observation: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    metrics: IngestMetrics | None = None,
) -> Ingested:
    """Copy an open file into the store, check it and record it. Leaves one line in the log, whatever comes of it.

    Raises as `ingest_file`, and OSError when `source` can't be read.
    """
    began = time.monotonic()
    try:
        with core.store.staging() as staging:
            while piece := source.read(PIECE):
                staging.write(piece)
            staged = staging.finish()
            hashed = time.monotonic()
            ingested = ingest_file(
                staged,
                filename,
                reader=core.reader,
                store=core.store,
                log=core.log,
                numbers=core.numbers,
                clock=core.clock,
                cause=cause,
                observation=observation,
                metadata=metadata,
                thumbnails=core.lookups,
            )
    except (StarferryError, OSError) as error:
        log_refused(filename, None, errors=str(error), known=isinstance(error, AlreadyExists))
        raise
    if metrics is not None:
        metrics.took_in(ingested.frame, staged.size, hashed - began, time.monotonic() - hashed, core.clock.now())
    log_ingested(ingested.frame)
    return ingested


def log_ingested(frame: Frame) -> None:
    """One line for a frame that was recorded, with the tags that OCS operators search for."""
    record, newest = frame.record, frame.newest
    assert record is not None
    extension = newest.extension if newest else ""
    logger.info("frame ingested", filename=record.basename + extension, request_id=record.request_id, id=frame.id)


def log_refused(filename: str, request_id: Any, *, errors: Any, known: bool = False) -> None:
    """One line for what wasn't recorded, and why."""
    if known:
        logger.info("file is in the archive already", filename=filename, request_id=request_id, id=None, errors=errors)
    else:
        logger.warning("ingest failed", filename=filename, request_id=request_id, id=None, errors=errors)


def refused_record(body: bytes) -> tuple[str, Any]:
    """File name and request number of a record that was refused, as far as they can be read."""
    try:
        given = msgspec.json.decode(body)
        filename = str(given.get("basename") or "")[:1000]
        for version in given.get("version_set") or ():
            return filename + str(version.get("extension") or "")[:20], given.get("request_id")
        return filename, given.get("request_id")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, AttributeError, TypeError):
        return "", None
