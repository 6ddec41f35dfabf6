"""The rest of the OCS surface described: versions, thumbnails, people, the service (contracts: 1.2, 1.3, 1.11)."""

from __future__ import annotations

from api.ocs.description_search import FORMAT, paging_parameters
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

HTML = "text/html"
PLAIN = "text/plain"


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
            parameters=[Parameter("md5", TEXT, "Exactly this checksum."), *paging, FORMAT],
            answers={200: Answer("A page of versions.", ref("VersionPage"))},
            who="staff",
        ),
        Operation(
            method="get",
            path="/versions/{version_id}/",
            tag="files",
            summary="One version.",
            parameters=[*version, FORMAT],
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
            path="/files/thumbnails/{thumbnail_id}/{filename}",
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


def people_operations() -> list[Operation]:
    """Who one is and how one comes in."""
    page = Answer("A page for people.", TEXT, HTML)
    return [
        Operation(
            method="get",
            path="/profile/",
            tag="people",
            summary="Who am I?",
            parameters=[FORMAT],
            answers={200: Answer("The asker.", ref("Profile"))},
        ),
        Operation(
            method="post",
            path="/api-token-auth/",
            tag="people",
            summary="A token for a user name and a password.",
            description="Whoever comes with a token gets that one back; the body isn't looked at then.",
            body=Body(record({"username": TEXT, "password": TEXT}), BODY_TYPES, required=False),
            answers={200: Answer("The token.", record({"token": TEXT}))},
        ),
        Operation(
            method="post",
            path="/revoke_token/",
            tag="people",
            summary="End the asker's token of this archive and make another.",
            answers={200: Answer("It is done.", ref("Message"))},
            who="known",
        ),
        Operation(
            method="post",
            path="/authprofile/addupdateuser/",
            tag="people",
            summary="The portal tells of a user. What is left out falls to empty or false.",
            body=Body(ref("PortalUser"), BODY_TYPES),
            answers={200: Answer("It is done.", ref("Message")), 403: Answer("A wrong server key.", ref("Error"))},
            who="portal",
        ),
        Operation(
            method="get",
            path="/api-auth/login/",
            tag="people",
            summary="The form to log in by.",
            parameters=[Parameter("next", TEXT, "The page of this archive to go on to.")],
            answers={200: page, 302: Answer("Logged in already.")},
        ),
        Operation(
            method="post",
            path="/api-auth/login/",
            tag="people",
            summary="Log in: a session cookie.",
            body=Body(record({"username": TEXT, "password": TEXT, "next": TEXT}, "next"), BODY_TYPES[1:]),
            answers={200: page, 302: Answer("Logged in."), 403: Answer("The form's token is missing.", ref("Error"))},
        ),
        Operation(
            method="get",
            path="/api-auth/logout/",
            tag="people",
            summary="The form to log out by.",
            answers={200: page, 302: Answer("Logged out.")},
        ),
        Operation(
            method="post",
            path="/api-auth/logout/",
            tag="people",
            summary="End the session.",
            answers={200: page, 302: Answer("Logged out."), 403: Answer("The form's token is missing.", ref("Error"))},
        ),
    ]


def service_operations() -> list[Operation]:
    """The service itself."""
    page = {200: Answer("A page for people.", TEXT, HTML)}
    return [
        Operation(
            method="get",
            path="/",
            tag="service",
            summary="Where the lists are.",
            parameters=[FORMAT],
            answers={200: Answer("Their addresses.", record(dict.fromkeys(_LISTS, TEXT)))},
        ),
        Operation(
            method="get",
            path="/health/",
            tag="service",
            summary="For load balancers.",
            parameters=[FORMAT],
            answers={200: Answer('The word "ok".', {"const": "ok"})},
        ),
        Operation(
            method="get",
            path="/healthz",
            tag="service",
            summary="Does the process answer?",
            answers={200: Answer("It does.", record({"status": {"const": "ok"}}))},
        ),
        Operation(
            method="get",
            path="/readyz",
            tag="service",
            summary="Is it ready to serve?",
            answers={
                200: Answer("It is.", ref("Readiness")),
                503: Answer("It isn't.", {"anyOf": [ref("Readiness"), ref("Error")]}),
            },
        ),
        Operation(
            method="get",
            path="/metrics",
            tag="service",
            summary="Figures for Prometheus.",
            answers={200: Answer("Prometheus' text format.", TEXT, PLAIN)},
        ),
        Operation(
            method="get",
            path="/robots.txt",
            tag="service",
            summary="Nothing here for crawlers.",
            answers={200: Answer("The rules.", TEXT, PLAIN)},
        ),
        Operation(
            method="get",
            path="/openapi/",
            tag="service",
            summary="This description.",
            parameters=[Parameter("format", TEXT, "`openapi-json` or `openapi`; both are JSON, which is YAML too.")],
            answers={200: Answer("An OpenAPI document.", {"type": "object"})},
        ),
        Operation(
            method="get",
            path="/redoc/",
            tag="service",
            summary="This description for people.",
            answers=page,
        ),
        Operation(
            method="get",
            path="/redoc/own/",
            tag="service",
            summary="Our own API's description for people.",
            answers=page,
        ),
    ]


_LISTS = ("frames", "versions", "thumbnails")


def other_schemas(settings: Settings, frame_record: Schema) -> dict[str, Schema]:
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
        "Error": record({"detail": TEXT}),
        "FieldErrors": {
            "description": "Sentences by field or parameter; for a bad geometry, one sentence in a list.",
            "anyOf": [
                {"type": "object", "additionalProperties": {"type": ["array", "object", "string"]}},
                {"type": "array", "items": TEXT},
            ],
        },
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
        "Profile": record(
            {
                "username": TEXT,
                "profile": record({"proposals": array(TEXT)}, "proposals"),
                "is_staff": TRUTH,
            }
        ),
        "Message": record({"message": TEXT}),
        "PortalUser": record(
            {
                "username": TEXT,
                "first_name": TEXT,
                "last_name": TEXT,
                "email": TEXT,
                "tokens": record({"api_token": TEXT}, "api_token"),
                "is_staff": TRUTH,
                "is_superuser": TRUTH,
                "profile": record({"staff_view": TRUTH}, "staff_view"),
            },
            *"first_name last_name email tokens is_staff is_superuser profile".split(),
        ),
        "Readiness": record(
            {
                "ready": TRUTH,
                "checks": {"type": "object", "additionalProperties": TRUTH},
                "lag": {"type": "object", "additionalProperties": WHOLE},
            }
        ),
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
