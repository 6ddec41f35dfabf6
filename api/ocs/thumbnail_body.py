"""The bodies of `/thumbnails/` (contracts: 1.11): a frame's payload whose version is the picture, or a change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from api.ocs.body_fields import Fields, choice, key, text
from api.ocs.record_body import KEY_LENGTH, BodyErrors, decoded, parse_body
from application.commands.ingest import NewVersion
from application.commands.thumbnails import ThumbnailArrival
from domain.frame_record import FrameRecord

ONE_VERSION = "A thumbnail needs one version: its key, md5 and extension."


class _Own(msgspec.Struct):
    """What a thumbnail's payload has beside a frame's."""

    frame_basename: Any = UNSET
    size: Any = UNSET


class _Edit(msgspec.Struct):
    frame: Any = UNSET
    size: Any = UNSET
    basename: Any = UNSET
    extension: Any = UNSET
    key: Any = UNSET


_own = msgspec.json.Decoder(_Own)
_edit = msgspec.json.Decoder(_Edit)


def parse_thumbnail(
    body: bytes, *, types: Sequence[str], sizes: Sequence[str], path: Callable[[FrameRecord, str], str]
) -> tuple[ThumbnailArrival, NewVersion]:
    """The thumbnail that a body describes, and the version that it came as. Raises BodyErrors.

    `path` says where the picture is, from the payload's record and its file name.
    """
    arrival = parse_body(body, types=types, path=lambda record, extension: path(record, record.basename + extension))
    fields = Fields(decoded(body, _own))
    fields.read("frame_basename", lambda value: text(value, 1000, blank=False), required=True)
    fields.read("size", lambda value: choice(value, sizes), required=True)
    if not arrival.versions:
        fields.errors["version_set"] = [ONE_VERSION]
    if fields.errors:
        raise BodyErrors(fields.errors)
    version = arrival.versions[0]
    thumbnail = ThumbnailArrival(
        record=msgspec.structs.replace(arrival.record, basename=fields.values["frame_basename"]),
        headers=arrival.headers,
        basename=arrival.record.basename,
        extension=version.extension,
        size=fields.values["size"],
        key=version.key,
        path=version.path,
    )
    return thumbnail, version


def parse_change(body: bytes, *, sizes: Sequence[str], complete: bool) -> dict[str, Any]:
    """The fields that a body changes; all are needed when it is `complete`, but for the frame. Raises BodyErrors."""
    fields = Fields(decoded(body, _edit))
    fields.read("frame", key)
    fields.read("size", lambda value: choice(value, sizes), required=complete)
    fields.read("basename", lambda value: text(value, 1000, blank=False), required=complete)
    fields.read("extension", lambda value: text(value, 20, blank=False), required=complete)
    fields.read("key", lambda value: text(value, KEY_LENGTH, blank=False), required=complete)
    if fields.errors:
        raise BodyErrors(fields.errors)
    return fields.values
