"""`/frames/` described: search, one frame, ingest, change (contracts: 1.4 to 1.10)."""

from __future__ import annotations

from collections.abc import Sequence

from api.ocs.description_search import (
    AT,
    FORMAT,
    include_parameters,
    list_parameters,
    paging_parameters,
    search_parameters,
)
from api.openapi import (
    BODY_TYPES,
    MOMENT,
    TEXT,
    TRUTH,
    Answer,
    Body,
    Operation,
    Parameter,
    array,
    numbered,
    record,
    ref,
)
from api.settings import Settings

TAG = "frames"
FRAME = numbered("frame_id")
NOT_FOUND = Answer("No frame of this id that the asker may see.", ref("Error"))
NO_BODY = Answer("Nothing matches; no body.")
CACHE_TIMES = "Good for a day, for an hour when the range ends in the future, for five minutes when logged in."


def frame_operations(settings: Settings, types: Sequence[str]) -> list[Operation]:
    """The operations below `/frames/`. `types` are the configuration types that are accepted now."""
    search = search_parameters(types, settings["SCIENCE_CONFIGURATION_TYPES"])
    paging = paging_parameters(settings["PAGINATION_DEFAULT_LIMIT"], settings["PAGINATION_MAX_LIMIT"])
    one = [*FRAME, *search, AT, FORMAT]
    return [
        Operation(
            method="get",
            path="/frames/",
            tag=TAG,
            summary="Search frames.",
            description="Newest first unless ordered otherwise. Unknown parameters and empty values are ignored.",
            parameters=[*search, *include_parameters(), *paging, *list_parameters(), AT, FORMAT],
            answers={200: Answer("A page of frames.", ref("FramePage")), 404: Answer("A bad cursor.", ref("Error"))},
        ),
        Operation(
            method="post",
            path="/frames/",
            tag=TAG,
            summary="Record a frame whose file the ingester has stored.",
            description="A basename that is there already gets the new version, and the fields that are given.",
            body=Body(ref("FrameRecord"), BODY_TYPES, example=_EXAMPLE),
            answers={201: Answer("The frame.", ref("RecordedFrame"))},
            who="superuser",
        ),
        Operation(
            method="get",
            path="/frames/aggregate/",
            tag=TAG,
            summary="Distinct sites, telescopes, filters, instruments, types and proposals.",
            description="With any parameter but query_timeout, start and end are both needed, a year apart at most. "
            + CACHE_TIMES,
            parameters=[
                Parameter("start", MOMENT, "Observed then or later."),
                Parameter("end", MOMENT, "Observed before."),
                Parameter("public", TRUTH, "true: with public frames."),
                *(Parameter(name, TEXT, "Exactly this.") for name in _AGGREGATED),
                Parameter(
                    "query_timeout", {"type": "integer", "minimum": 0, "maximum": 20000}, "Milliseconds; 0 for none."
                ),
                Parameter("aggregate_field", TEXT, "Accepted for older clients, without effect."),
                AT,
                FORMAT,
            ],
            answers={
                200: Answer("The distinct values.", ref("Aggregate")),
                400: Answer("Bad parameters.", {"anyOf": [TEXT, ref("FieldErrors")]}),
            },
        ),
        Operation(
            method="post",
            path="/frames/zip/",
            tag=TAG,
            summary="Download several frames as one zip.",
            body=Body(ref("ZipRequest"), BODY_TYPES, example={"frame_ids": [1, 7], "uncompress": False}),
            answers={
                200: Answer("The zip.", {"type": "string", "contentMediaType": "application/zip"}, "application/zip"),
                404: NO_BODY,
            },
        ),
        Operation(
            method="get",
            path="/frames/{frame_id}/",
            tag=TAG,
            summary="One frame.",
            description="The search filters apply here too: a frame that doesn't match isn't found.",
            parameters=[*FRAME, *search, *include_parameters(), AT, FORMAT],
            answers={200: Answer("The frame.", ref("FrameRow")), 404: NOT_FOUND},
        ),
        Operation(
            method="patch",
            path="/frames/{frame_id}/",
            tag=TAG,
            summary="Change fields of a frame.",
            description="What is left out stays. A frame keeps its basename; versions and headers come by posting "
            "it again.",
            parameters=FRAME,
            body=Body(ref("FrameChange"), BODY_TYPES, example={"target_name": "m31"}),
            answers={200: Answer("The frame.", ref("RecordedFrame")), 404: NOT_FOUND},
            who="superuser",
        ),
        Operation(
            method="put",
            path="/frames/{frame_id}/",
            tag=TAG,
            summary="Replace a frame's fields.",
            parameters=FRAME,
            body=Body(ref("FrameRecord"), BODY_TYPES),
            answers={200: Answer("The frame.", ref("RecordedFrame")), 404: NOT_FOUND},
            who="superuser",
        ),
        Operation(
            method="delete",
            path="/frames/{frame_id}/",
            tag=TAG,
            summary="Delete a frame with its versions, thumbnails and stored files.",
            parameters=FRAME,
            answers={204: Answer("It is gone."), 404: NOT_FOUND},
            who="superuser",
        ),
        Operation(
            method="get",
            path="/frames/{frame_id}/headers/",
            tag=TAG,
            summary="The whole header of a frame.",
            parameters=one,
            answers={200: Answer("The header.", record({"data": {"type": "object"}})), 404: NOT_FOUND},
        ),
        Operation(
            method="get",
            path="/frames/{frame_id}/related/",
            tag=TAG,
            summary="The related frames that the asker may see, not paged.",
            parameters=one,
            answers={200: Answer("The frames.", array(ref("RecordedFrame"))), 404: NOT_FOUND},
        ),
        _file("/frame-funpack/{frame_id}/funpack/", "The newest version of a frame, unpacked."),
        _file("/frame-catalog/{frame_id}/catalog/", "The source catalogue of a reduced frame as a small FITS file."),
    ]


def _file(path: str, summary: str) -> Operation:
    return Operation(
        method="get",
        path=path,
        tag=TAG,
        summary=summary,
        parameters=FRAME,
        answers={200: Answer("FITS bytes.", {}, "application/octet-stream"), 404: NOT_FOUND},
    )


_AGGREGATED = (
    "site_id",
    "telescope_id",
    "primary_optical_element",
    "instrument_id",
    "configuration_type",
    "proposal_id",
)


_EXAMPLE = {
    "basename": "coj1m011-fa12-20261119-0005-e00",
    "area": None,
    "headers": {"SITEID": "coj", "OBJECT": "m31"},
    "related_frame_filenames": [],
    "version_set": [
        {"key": "0QmX3k", "md5": "34b927817b52eceec5021e0dbfe87246", "extension": ".fits.fz"},
    ],
    "observation_day": "20261119",
    "configuration_type": "EXPOSE",
}
