"""What a zip download is asked for with: JSON or a form, checked with the contract's sentences (1.10)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from api.ocs.body_fields import NO_NUL, NOT_BLANK, NOT_NULL, NOT_TEXT, REQUIRED
from api.ocs.negotiation import READ, UnsupportedMediaType
from api.ocs.record_body import BodyErrors
from api.serving import AnyRequest

NOT_BOOLEAN = "Must be a valid boolean."
NOT_WHOLE = "A valid integer is required."
TOO_SMALL = "Ensure this value is greater than or equal to 1."
LONGEST_NUMBER = 1000
TRUE = ("t", "T", "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", "1", 1, True)
FALSE = ("f", "F", "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF", "0", 0, False)

_NUMBERED = re.compile(r"frame_ids\[([0-9]+)\]")


class ZipRequest(msgspec.Struct, frozen=True):
    """A zip download: of which frames, and what of them."""

    frames: tuple[int, ...]
    uncompress: bool
    catalog_only: bool
    auth_token: str | None


async def read_zip_request(request: AnyRequest, *, most_uncompressed: int) -> ZipRequest:
    """The body of a request. Raises BodyErrors, UnsupportedMediaType."""
    given = await _fields(request)
    errors: dict[str, Any] = {}
    frames = _frames(given, errors)
    uncompress, catalog_only = _boolean(given, "uncompress", errors), _boolean(given, "catalog_only", errors)
    token = _token(given, errors)
    if errors:
        raise BodyErrors(errors)
    if uncompress and len(frames) > most_uncompressed:
        sentence = (
            f"A maximum of {most_uncompressed} frames can be downloaded with the uncompress flag. "
            "Please try again with fewer frame_ids."
        )
        raise BodyErrors({"non_field_errors": [sentence]})
    return ZipRequest(tuple(dict.fromkeys(frames)), uncompress, catalog_only, token)


async def _fields(request: AnyRequest) -> dict[str, Any]:
    """The fields of the body; of a form the frames are gathered from either way of writing a list."""
    sent = request.headers.get("content-type", "")
    kind = sent.split(";", 1)[0].strip().lower()
    if kind in ("", "application/json"):
        return _decoded(await request.body())
    if kind not in READ:
        raise UnsupportedMediaType(detail=f'Unsupported media type "{sent}" in request.')
    form = await request.form()
    return _gathered([(name, value) for name, value in form.multi_items() if isinstance(value, str)])


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        body.decode()
        given = msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BodyErrors({"detail": f"JSON parse error - {error}"}) from error
    if not isinstance(given, dict):
        kind = {list: "list", str: "str", bool: "bool", int: "int", float: "float"}.get(type(given), "NoneType")
        raise BodyErrors({"non_field_errors": [f"Invalid data. Expected a dictionary, but got {kind}."]})
    return given


def _gathered(items: Sequence[tuple[str, str]]) -> dict[str, Any]:
    fields: dict[str, Any] = {name: value for name, value in items if value != ""}
    listed = [value for name, value in items if name == "frame_ids"]
    numbered = [(int(match[1]), value) for name, value in items if (match := _NUMBERED.fullmatch(name))]
    fields.pop("frame_ids", None)
    if listed or numbered:
        fields["frame_ids"] = listed or [value for _, value in sorted(numbered)]
    return fields


def _frames(given: dict[str, Any], errors: dict[str, Any]) -> tuple[int, ...]:
    value = given.get("frame_ids", ...)
    if value is ...:
        errors["frame_ids"] = [REQUIRED]
    elif value is None:
        errors["frame_ids"] = [NOT_NULL]
    elif not isinstance(value, list):
        errors["frame_ids"] = [f'Expected a list of items but got type "{type(value).__name__}".']
    else:
        wrong = {str(place): sentence for place, item in enumerate(value) if (sentence := _complaint(item))}
        if wrong:
            errors["frame_ids"] = {place: [sentence] for place, sentence in wrong.items()}
        else:
            return tuple(int(_digits(item)) for item in value)
    return ()


def _complaint(item: Any) -> str:
    if item is None:
        return NOT_NULL
    if isinstance(item, str) and len(item) > LONGEST_NUMBER:
        return "String value too large."
    if isinstance(item, bool) or not isinstance(item, str | int | float) or not re.fullmatch(r"-?\d+", _digits(item)):
        return NOT_WHOLE
    return TOO_SMALL if int(_digits(item)) < 1 else ""


def _digits(item: Any) -> str:
    """A number's text; `7.0` is a whole number too."""
    return re.sub(r"\.0*\s*$", "", str(item).strip())


def _boolean(given: dict[str, Any], name: str, errors: dict[str, Any]) -> bool:
    value = given.get(name, False)
    if value is None:
        errors[name] = [NOT_NULL]
    elif _is_one_of(value, TRUE):
        return True
    elif not _is_one_of(value, FALSE):
        errors[name] = [NOT_BOOLEAN]
    return False


def _is_one_of(value: Any, words: Iterable[Any]) -> bool:
    return isinstance(value, str | int | float) and any(value == word for word in words)


def _token(given: dict[str, Any], errors: dict[str, Any]) -> str | None:
    value = given.get("auth_token", ...)
    if value is ...:
        return None
    if value is None:
        errors["auth_token"] = [NOT_NULL]
    elif isinstance(value, bool) or not isinstance(value, str | int | float):
        errors["auth_token"] = [NOT_TEXT]
    elif not str(value).strip():
        errors["auth_token"] = [NOT_BLANK]
    elif "\0" in str(value):
        errors["auth_token"] = [NO_NUL]
    else:
        return str(value).strip()
    return None
