"""The body of `POST /frames/` as a FrameArrival, validated field by field with the contract's sentences (1.8)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from api.settings import Settings
from application.commands.ingest import FrameArrival, NewVersion
from domain.footprint import Footprint
from domain.frame_record import FrameRecord
from domain.frames import FrameVersion

REQUIRED = "This field is required."
NOT_NULL = "This field may not be null."
NOT_BLANK = "This field may not be blank."
NOT_TEXT = "Not a valid string."
NO_NUL = "Null characters are not allowed."
BAD_TIME = (
    "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
)
BAD_DAY = "Date has wrong format. Use one of these formats instead: YYYY-MM-DD, YYYYMMDD."

TEXT_LENGTHS = {
    "proposal_id": 200,
    "instrument_id": 64,
    "target_name": 200,
    "site_id": 3,
    "telescope_id": 4,
    "primary_optical_element": 100,
}
"""Longest texts of the original. Observatories with longer codes set theirs (row P01)."""
KEY_LENGTH = 1024
"""Long enough for every object store's version ids (row H06)."""


INDEXED = 1000
"""From this length on bytes are counted, not characters: PostgreSQL can't index a text of more than some 2700 bytes."""


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

Path = Callable[[FrameRecord, str, Raw], str]
"""Where the file store keeps a file, from its record, extension and headers."""


class BodyErrors(Exception):
    """What is wrong, field by field, as it is answered with 400."""

    def __init__(self, errors: Any) -> None:
        super().__init__("bad body")
        self.errors = errors


class _Refused(Exception):
    pass


def parse_body(
    body: bytes, *, types: Sequence[str], path: Path, lengths: Mapping[str, int] = TEXT_LENGTHS
) -> FrameArrival:
    """The arrival that a body describes. `lengths` bounds texts, in characters. Raises BodyErrors."""
    try:
        body.decode()
        given = _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise BodyErrors({"non_field_errors": ["Invalid data. Expected a dictionary."]}) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BodyErrors({"detail": f"JSON parse error - {error}"}) from error
    errors: dict[str, Any] = {}
    values: dict[str, Any] = {}

    def read(name: str, parse: Callable[[Any], Any], *, required: bool = False, nullable: bool = False) -> None:
        value = getattr(given, name)
        if value is UNSET:
            if required:
                errors[name] = [REQUIRED]
            return
        if value is None:
            if nullable:
                values[name] = None
            else:
                errors[name] = [NOT_NULL]
            return
        try:
            values[name] = parse(value)
        except _Refused as refused:
            errors[name] = refused.args[0]

    read("basename", lambda value: _text(value, 1000, blank=False), required=True)
    read("area", _area, required=True, nullable=True)
    read("observation_day", _day, required=True)
    read("configuration_type", lambda value: _choice(value, types), required=True)
    read("observation_date", _moment, nullable=True)
    read("public_date", _moment, nullable=True)
    for name, longest in lengths.items():
        read(name, partial(_text, longest=longest))
    read("reduction_level", lambda value: _integer(value, -32768, 32767))
    read("exposure_time", _number, nullable=True)
    read("observation_id", lambda value: _integer(value, 0, 2_147_483_647), nullable=True)
    read("request_id", lambda value: _integer(value, 0, 2_147_483_647), nullable=True)
    read("related_frame_filenames", _names, required=True)
    read("version_set", _version_items, required=True)
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
            NewVersion(key, md5, extension, path=path(record, extension, given.headers))
            for key, md5, extension in versions
        ),
        supplied=frozenset(values),
    )


def text_lengths(settings: Settings) -> dict[str, int]:
    """The longest texts that are accepted here, by field."""
    site, telescope = settings["STARFERRY_SITE_ID_LENGTH"], settings["STARFERRY_TELESCOPE_ID_LENGTH"]
    return {**TEXT_LENGTHS, "site_id": site, "telescope_id": telescope}


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


def _text(value: Any, longest: int, *, blank: bool = True) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _Refused([NOT_TEXT])
    text = str(value).strip()
    if "\0" in text:
        raise _Refused([NO_NUL])
    if not text and not blank:
        raise _Refused([NOT_BLANK])
    if len(text.encode()) > longest if longest >= INDEXED else len(text) > longest:
        raise _Refused([f"Ensure this field has no more than {longest} characters."])
    return text


def _choice(value: Any, types: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in types:
        raise _Refused([f'"{value}" is not a valid choice.'])
    return value


def _integer(value: Any, least: int, most: int) -> int:
    try:
        if isinstance(value, bool) or (isinstance(value, float) and value != int(value)):
            raise ValueError
        number = int(value.strip() if isinstance(value, str) else value)
    except (ValueError, TypeError, OverflowError):
        raise _Refused(["A valid integer is required."]) from None
    if number > most:
        raise _Refused([f"Ensure this value is less than or equal to {most}."])
    if number < least:
        raise _Refused([f"Ensure this value is greater than or equal to {least}."])
    return number


def _number(value: Any) -> float:
    try:
        if isinstance(value, bool):
            raise ValueError
        number = float(value)
    except (ValueError, TypeError, OverflowError):
        raise _Refused(["A valid number is required."]) from None
    if number != number or number in (float("inf"), float("-inf")):
        raise _Refused(["A valid number is required."])
    return number


def _moment(value: Any) -> datetime:
    try:
        if not isinstance(value, str):
            raise ValueError
        text = re.sub(r"(\.\d{6})\d+", r"\1", value.strip())
        parsed = datetime.fromisoformat(text)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise _Refused([BAD_TIME]) from None


def _day(value: Any) -> date:
    try:
        if not isinstance(value, str) or not re.fullmatch(r"\d{4}-?\d{2}-?\d{2}", value.strip()):
            raise ValueError
        return date.fromisoformat(value.strip())
    except ValueError:
        raise _Refused([BAD_DAY]) from None


def _area(value: Any) -> Footprint:
    try:
        if not isinstance(value, dict) or value.get("type") != "Polygon":
            raise ValueError
        rings = tuple(tuple((float(point[0]), float(point[1])) for point in ring) for ring in value["coordinates"])
        if not rings or any(len(ring) < 4 or ring[0] != ring[-1] for ring in rings):
            raise ValueError
        if any(not abs(x) < 1e6 or not abs(y) < 1e6 for ring in rings for x, y in ring):
            raise ValueError
        return Footprint(rings)
    except (ValueError, TypeError, KeyError, IndexError):
        raise _Refused([f"Invalid polygon: {str(value)[:200]}"]) from None


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _Refused([f'Expected a list of items but got type "{_type_name(value)}".'])
    errors: dict[str, list[str]] = {}
    names = []
    for number, item in enumerate(value):
        try:
            names.append(_text(item, 1000, blank=False))
        except _Refused as refused:
            errors[str(number)] = refused.args[0]
    if errors:
        raise _Refused(errors)
    return tuple(names)


def _version_items(value: Any) -> tuple[tuple[str, str, str], ...]:
    if not isinstance(value, list):
        raise _Refused({"non_field_errors": [f'Expected a list of items but got type "{_type_name(value)}".']})
    found: list[tuple[str, str, str]] = []
    errors: list[dict[str, Any]] = []
    for item in value:
        wrong: dict[str, Any] = {}
        fields = []
        for name, longest in (("key", KEY_LENGTH), ("md5", 32), ("extension", 20)):
            try:
                fields.append(_version_field(item, name, longest))
            except _Refused as refused:
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
        raise _Refused(errors)
    return tuple(found)


def _version_field(item: Any, name: str, longest: int) -> str:
    if not isinstance(item, dict) or name not in item:
        raise _Refused([REQUIRED])
    if item[name] is None:
        raise _Refused([NOT_NULL])
    return _text(item[name], longest, blank=False)


def _type_name(value: Any) -> str:
    return {dict: "dict", str: "str", int: "int", float: "float", bool: "bool"}.get(type(value), "object")
