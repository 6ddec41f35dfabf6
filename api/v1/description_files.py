"""Files in, described."""

from __future__ import annotations

from api.openapi import BODY_TYPES, TEXT, Answer, Body, Operation, named, record, ref
from api.v1.description_parts import problem


def ingest() -> list[Operation]:
    """Files in."""
    return [
        Operation(
            method="post",
            path="/api/v1/ingest",
            tag="ingest",
            summary="Check a file, keep it, record it.",
            body=Body(ref("IngestForm"), BODY_TYPES[2:]),
            answers={
                201: Answer(
                    "The frame, as `/frames/` shows it, and the thumbnail, if the file became one.",
                    record({"frame": {"type": "object"}, "thumbnail": ref("ThumbnailRow")}, "thumbnail"),
                ),
                404: problem("There is no frame that `calibrated_from` names."),
                409: problem("These bytes are in the archive already."),
                422: problem("These bytes can't be archived; the detail says why."),
            },
            who="superuser",
        ),
        Operation(
            method="post",
            path="/api/v1/frames/{basename}/calibration",
            tag="ingest",
            summary="No calibrated file will come for this raw frame.",
            parameters=named("basename"),
            body=Body(ref("CalibrationReport"), example={"outcome": "no_masters", "reason": "no bias of that night"}),
            answers={
                200: Answer("What was noted.", record({"frame": TEXT, "outcome": TEXT})),
                409: problem("There is a calibrated file already."),
            },
            who="superuser",
        ),
    ]
