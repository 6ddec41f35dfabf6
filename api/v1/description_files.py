"""Files in, and what happened to them, described."""

from __future__ import annotations

from api.openapi import BODY_TYPES, MOMENT, TEXT, WHOLE, Answer, Body, Operation, Parameter, array, named, record, ref
from api.v1.description_parts import PAGING, problem
from application.history import KINDS


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


def history() -> list[Operation]:
    """What happened."""
    kinds = [kind.replace("_", "-") for kind in KINDS]
    return [
        Operation(
            method="get",
            path="/api/v1/audit/{kind}/{name}",
            tag="history",
            summary="The history of one thing, up to a time if one is given.",
            parameters=[
                Parameter("kind", {"type": "string", "enum": kinds}, where="path"),
                *named("name"),
                Parameter("at", MOMENT, "Nothing later than this."),
            ],
            answers={200: Answer("Its events.", record({"kind": TEXT, "id": TEXT, "results": array(ref("Entry"))}))},
            who="known",
        ),
        Operation(
            method="get",
            path="/api/v1/events",
            tag="history",
            summary="The feed of all events, in order.",
            parameters=[
                Parameter("after", {"type": "integer", "minimum": 0, "default": 0}, "Events beyond this position."),
                PAGING[0],
            ],
            answers={200: Answer("The events.", record({"results": array(ref("Entry")), "position": WHOLE}))},
            who="superuser",
        ),
        Operation(
            method="get",
            path="/api/v1/openapi.json",
            tag="service",
            summary="This description.",
            answers={200: Answer("An OpenAPI document.", {"type": "object"})},
        ),
    ]
