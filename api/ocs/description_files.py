"""Versions, thumbnails and downloads described (contracts: 1.5, 1.11)."""

from __future__ import annotations

from api.ocs.description_search import AT, FORMAT, paging_parameters
from api.ocs.record_body import KEY_LENGTH
from api.openapi import (
    BODY_TYPES,
    TEXT,
    TRUTH,
    WHOLE,
    Answer,
    Body,
    Operation,
    Parameter,
    Schema,
    array,
    named,
    nullable,
    numbered,
    record,
    ref,
)
from api.settings import Settings


def file_operations(settings: Settings) -> list[Operation]:
    """Versions, thumbnails and downloads."""
    paging = paging_parameters(settings["PAGINATION_DEFAULT_LIMIT"], settings["PAGINATION_MAX_LIMIT"])
    version, thumbnail = numbered("version_id"), numbered("thumbnail_id")
    shown = {200: Answer("The thumbnail.", ref("Thumbnail"))}
    return [
        Operation(
            method="get",
            path="/versions/",
            tag="files",
            summary="Versions, newest first.",
            description="With `md5`, how an ingester asks whether a file is there: exact, and exactly counted.",
            parameters=[Parameter("md5", TEXT, "Exactly this checksum."), *paging, AT, FORMAT],
            answers={200: Answer("A page of versions.", ref("VersionPage"))},
            who="staff",
        ),
        Operation(
            method="get",
            path="/versions/{version_id}/",
            tag="files",
            summary="One version.",
            parameters=[*version, AT, FORMAT],
            answers={200: Answer("The version.", ref("VersionRow"))},
            who="staff",
        ),
        Operation(
            method="get",
            path="/thumbnails/",
            tag="files",
            summary="Thumbnails of the frames that the asker may see.",
            parameters=[
                Parameter("frame_basename", TEXT, "Of the frame with this basename."),
                Parameter("proposal_id", TEXT, "Of frames of this proposal."),
                Parameter("observation_id", WHOLE, "Of frames of this observation."),
                Parameter("request_id", WHOLE, "Of frames of this request."),
                Parameter("size", _size(settings), "Of this size."),
                Parameter("force_count", TEXT, "Any value: count exactly, for everybody who is logged in."),
                *paging,
                Parameter("after", TEXT, "Where a `next` link goes on, so that nothing new shifts the pages."),
                FORMAT,
            ],
            answers={200: Answer("A page of thumbnails.", ref("ThumbnailPage"))},
        ),
        Operation(
            method="post",
            path="/thumbnails/",
            tag="files",
            summary="Record a thumbnail whose file the ingester has stored.",
            description="A frame that isn't there yet is made and stays hidden until its file arrives.",
            body=Body(ref("ThumbnailRecord"), BODY_TYPES),
            answers={201: Answer("The thumbnail with its frame.", ref("RecordedThumbnail"))},
            who="superuser",
        ),
        Operation(
            method="get",
            path="/thumbnails/{thumbnail_id}/",
            tag="files",
            summary="One thumbnail.",
            parameters=[*thumbnail, FORMAT],
            answers=shown,
        ),
        Operation(
            method="put",
            path="/thumbnails/{thumbnail_id}/",
            tag="files",
            summary="Replace a thumbnail's fields.",
            parameters=thumbnail,
            body=Body(ref("ThumbnailChange"), BODY_TYPES),
            answers=shown,
            who="superuser",
        ),
        Operation(
            method="patch",
            path="/thumbnails/{thumbnail_id}/",
            tag="files",
            summary="Change a thumbnail.",
            parameters=thumbnail,
            body=Body(ref("ThumbnailChange"), BODY_TYPES),
            answers=shown,
            who="superuser",
        ),
        Operation(
            method="delete",
            path="/thumbnails/{thumbnail_id}/",
            tag="files",
            summary="Delete a thumbnail and its stored file.",
            parameters=thumbnail,
            answers={204: Answer("It is gone.")},
            who="superuser",
        ),
        Operation(
            method="get",
            path="/files/{version_id}/{filename}",
            tag="files",
            summary="Download a version by the signed link that its `url` is.",
            description="Byte ranges and conditions are understood. Links are good for at least 48 hours.",
            parameters=[*version, *named("filename"), *_LINK],
            answers=_DOWNLOAD,
        ),
        Operation(
            method="get",
            path="/thumbnails/files/{thumbnail_id}/{filename}",
            tag="files",
            summary="Download a thumbnail by the signed link that its `url` is.",
            parameters=[*thumbnail, *named("filename"), *_LINK],
            answers=_DOWNLOAD,
        ),
    ]


_LINK = (Parameter("expires", WHOLE, "From the link."), Parameter("signature", TEXT, "From the link."))
_DOWNLOAD = {
    200: Answer("The bytes.", {}, "application/octet-stream"),
    206: Answer("A part of them.", {}, "application/octet-stream"),
    302: Answer("The store serves them there."),
    304: Answer("The client has them already."),
    403: Answer("The link isn't valid, or has expired.", ref("Error")),
    412: Answer("They aren't what the client expects."),
    416: Answer("No such range."),
}


def _size(settings: Settings) -> Schema:
    return {"type": "string", "enum": list(settings["THUMBNAIL_SIZE_CHOICES"])}


def file_schemas(settings: Settings, frame_record: Schema) -> dict[str, Schema]:
    """The bodies of these operations. A thumbnail is recorded with all that a frame is."""
    thumbnail: dict[str, Schema] = {
        "frame": WHOLE,
        "size": TEXT,
        "basename": TEXT,
        "extension": TEXT,
        "key": TEXT,
        "url": TEXT,
    }
    needed = [*frame_record["required"], "frame_basename", "size"]
    return {
        "VersionPage": _page("VersionRow"),
        "Thumbnail": record({"id": WHOLE, **thumbnail}),
        "ThumbnailPage": _page("Thumbnail"),
        "ThumbnailRecord": {
            "type": "object",
            "properties": {
                **frame_record["properties"],
                "frame_basename": {"type": "string", "minLength": 1},
                "size": _size(settings),
            },
            "required": needed,
        },
        "ThumbnailChange": {
            "type": "object",
            "properties": {
                "frame": WHOLE,
                "size": _size(settings),
                "basename": {"type": "string", "minLength": 1, "maxLength": 1000},
                "extension": {"type": "string", "minLength": 1, "maxLength": 20},
                "key": {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH},
            },
        },
        "RecordedThumbnail": record({**thumbnail, "frame": ref("RecordedFrame")}),
    }


def _page(item: str) -> Schema:
    return record(
        {
            "count": WHOLE,
            "next": nullable(TEXT),
            "previous": nullable(TEXT),
            "results": array(ref(item)),
            "count_estimated": TRUTH,
        }
    )
