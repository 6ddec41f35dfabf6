"""The body of `POST /frames/` as a FrameArrival, validated field by field with the contract's sentences (1.8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw

from api.ocs.body_fields import NO_NUL, NOT_NULL, REQUIRED, Fields, Refused, choice, read_record, text, type_name
from application.commands.ingest import FrameArrival, NewVersion
from domain.frame_record import FrameRecord
from domain.frames import FrameVersion


class RecordBody(msgspec.Struct):
    """What may be in the body; anything else is ignored."""

    basename: Any = UNSET
    area: Any = UNSET
    headers: Raw = Raw(b"")
    related_frame_filenames: Any = UNSET
    version_set: Any = UNSET
    observation_day: Any = UNSET
    configuration_type: Any = UNSET
    observation_date: Any = UNSET
    public_date: Any = UNSET
    proposal_id: Any = UNSET
    instrument_id: Any = UNSET
    target_name: Any = UNSET
    site_id: Any = UNSET
    telescope_id: Any = UNSET
    primary_optical_element: Any = UNSET
    reduction_level: Any = UNSET
    exposure_time: Any = UNSET
    observation_id: Any = UNSET
    request_id: Any = UNSET


_decoder = msgspec.json.Decoder(RecordBody)
B = TypeVar("B")

KEY_LENGTH = 1024
"""Long enough for every object store's version ids (row H06)."""

Path = Callable[[FrameRecord, str], str]
"""Where the file store keeps a file, from its record and extension."""


class BodyErrors(Exception):
    """What is wrong, field by field, as it is answered with 400."""

    def __init__(self, errors: Any) -> None:
        super().__init__("bad body")
        self.errors = errors


def parse_body(body: bytes, *, types: Sequence[str], path: Path) -> FrameArrival:
    """The arrival that a body describes. Raises BodyErrors."""
    given = decoded(body, _decoder)
    fields = Fields(given)
    read_record(fields)
    fields.read("configuration_type", lambda value: choice(value, types), required=True)
    fields.read("related_frame_filenames", _names, required=True)
    fields.read("version_set", _version_items, required=True)
    errors, values = fields.errors, fields.values
    _check_headers(given.headers, errors)
    if errors:
        raise BodyErrors(errors)
    versions = values.pop("version_set")
    values["related"] = values.pop("related_frame_filenames")
    record = FrameRecord(**values)
    return FrameArrival(
        record=record,
        headers=Raw(msgspec.json.format(bytes(given.headers), indent=-1)),  # clients send spaces, the log keeps none
        versions=tuple(
            NewVersion(key, md5, extension, path=path(record, extension)) for key, md5, extension in versions
        ),
        supplied=frozenset(values),
    )


def decoded(body: bytes, decoder: msgspec.json.Decoder[B]) -> B:
    """The body as a struct. Raises BodyErrors for what isn't JSON or no object."""
    try:
        body.decode()
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise BodyErrors({"non_field_errors": ["Invalid data. Expected a dictionary."]}) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BodyErrors({"detail": f"JSON parse error - {error}"}) from error


def version_conflict(taken: Sequence[str], versions: Sequence[NewVersion | FrameVersion]) -> dict[str, Any]:
    """The 400 body for versions whose md5 or key is in the archive already."""
    items = []
    for version in versions:
        item = {}
        if f"key:{version.key}" in taken:
            item["key"] = ["version with this key already exists."]
        if f"md5:{version.md5}" in taken:
            item["md5"] = ["version with this md5 already exists."]
        items.append(item)
    return {"version_set": items}


def _check_headers(headers: Raw, errors: dict[str, Any]) -> None:
    text = bytes(headers)
    if not text:
        errors["headers"] = [REQUIRED]
    elif text == b"null":
        errors["headers"] = [NOT_NULL]
    elif not text.startswith(b"{"):
        errors["headers"] = ["Expected a JSON object."]
    elif b"\\u0000" in text:
        errors["headers"] = [NO_NUL]
    elif b"\\u" in text:
        try:
            msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            errors["headers"] = [f"This isn't valid JSON: {error}."]


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise Refused([f'Expected a list of items but got type "{type_name(value)}".'])
    errors: dict[str, list[str]] = {}
    names = []
    for number, item in enumerate(value):
        try:
            names.append(text(item, 1000, blank=False))
        except Refused as refused:
            errors[str(number)] = refused.args[0]
    if errors:
        raise Refused(errors)
    return tuple(names)


def _version_items(value: Any) -> tuple[tuple[str, str, str], ...]:
    if not isinstance(value, list):
        raise Refused({"non_field_errors": [f'Expected a list of items but got type "{type_name(value)}".']})
    found: list[tuple[str, str, str]] = []
    errors: list[dict[str, Any]] = []
    for item in value:
        wrong: dict[str, Any] = {}
        fields = []
        for name, longest in (("key", KEY_LENGTH), ("md5", 32), ("extension", 20)):
            try:
                fields.append(_version_field(item, name, longest))
            except Refused as refused:
                wrong[name] = refused.args[0]
        if not wrong:
            key, md5, extension = fields
            if any(key == known[0] for known in found):
                wrong["key"] = ["version with this key already exists."]
            if any(md5 == known[1] for known in found):
                wrong["md5"] = ["version with this md5 already exists."]
            found.append((key, md5, extension))
        errors.append(wrong)
    if any(errors):
        raise Refused(errors)
    return tuple(found)


def _version_field(item: Any, name: str, longest: int) -> str:
    if not isinstance(item, dict) or name not in item:
        raise Refused([REQUIRED])
    if item[name] is None:
        raise Refused([NOT_NULL])
    return text(item[name], longest, blank=False)
