"""The fields of OCS bodies, read one by one with the contract's sentences (1.8)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

from msgspec import UNSET

from domain.footprint import Footprint

REQUIRED = "This field is required."
NOT_NULL = "This field may not be null."
NOT_BLANK = "This field may not be blank."
NOT_TEXT = "Not a valid string."
NO_NUL = "Null characters are not allowed."
NO_SUCH_KEY = 'Invalid pk "{}" - object does not exist.'
BAD_TIME = (
    "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
)
BAD_DAY = "Date has wrong format. Use one of these formats instead: YYYY-MM-DD, YYYYMMDD."

TEXT_LENGTHS = {
    "proposal_id": 200,
    "instrument_id": 64,
    "target_name": 200,
    "site_id": 32,
    "telescope_id": 32,
    "primary_optical_element": 100,
}
"""Longest texts. The original's 3 and 4 for sites and telescopes were too short for others (row P01)."""


INDEXED = 1000
"""From this length on bytes are counted, not characters: PostgreSQL can't index a text of more than some 2700 bytes."""


class Refused(Exception):
    """One value is wrong; the argument is what its field is answered with."""


class Fields:
    """Reads fields of a body one by one into `values`, and what is wrong with them into `errors`."""

    def __init__(self, given: Any) -> None:
        self._given = given
        self.values: dict[str, Any] = {}
        self.errors: dict[str, Any] = {}

    def read(self, name: str, parse: Callable[[Any], Any], *, required: bool = False, nullable: bool = False) -> None:
        """One field, if it is there."""
        value = getattr(self._given, name)
        if value is UNSET:
            if required:
                self.errors[name] = [REQUIRED]
            return
        if value is None:
            if nullable:
                self.values[name] = None
            else:
                self.errors[name] = [NOT_NULL]
            return
        try:
            self.values[name] = parse(value)
        except Refused as refused:
            self.errors[name] = refused.args[0]


def read_record(fields: Fields, *, complete: bool = True) -> None:
    """The fields of a record that are plain values; `complete` says that those without a default must be there."""
    fields.read("basename", lambda value: text(value, 1000, blank=False), required=complete)
    fields.read("area", _area, required=complete, nullable=True)
    fields.read("observation_day", _day, required=complete)
    fields.read("observation_date", _moment, nullable=True)
    fields.read("public_date", _moment, nullable=True)
    for name, longest in TEXT_LENGTHS.items():
        fields.read(name, partial(text, longest=longest))
    fields.read("reduction_level", lambda value: _integer(value, -32768, 32767))
    fields.read("exposure_time", _number, nullable=True)
    fields.read("observation_id", lambda value: _integer(value, 0, 2_147_483_647), nullable=True)
    fields.read("request_id", lambda value: _integer(value, 0, 2_147_483_647), nullable=True)


def text(value: Any, longest: int, *, blank: bool = True) -> str:
    """Text, trimmed; numbers become text. Raises Refused."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Refused([NOT_TEXT])
    given = str(value).strip()
    if "\0" in given:
        raise Refused([NO_NUL])
    if not given and not blank:
        raise Refused([NOT_BLANK])
    if len(given.encode()) > longest if longest >= INDEXED else len(given) > longest:
        raise Refused([f"Ensure this field has no more than {longest} characters."])
    return given


def choice(value: Any, choices: Sequence[str]) -> str:
    """One of a few words. Raises Refused."""
    if not isinstance(value, str) or value not in choices:
        raise Refused([f'"{value}" is not a valid choice.'])
    return value


def key(value: Any) -> int:
    """The id of something else. Raises Refused."""
    if value is None:
        raise Refused([NOT_NULL])
    given = "" if isinstance(value, bool) else str(value)
    if not isinstance(value, int | str) or not given.isascii() or not given.removeprefix("-").isdecimal():
        raise Refused([f"Incorrect type. Expected pk value, received {type_name(value)}."])
    if len(given) > 10 or not 0 < int(given) < 2**31:
        raise Refused([NO_SUCH_KEY.format(given[:40])])
    return int(given)


def _integer(value: Any, least: int, most: int) -> int:
    try:
        if isinstance(value, bool) or (isinstance(value, float) and value != int(value)):
            raise ValueError
        number = int(value.strip() if isinstance(value, str) else value)
    except (ValueError, TypeError, OverflowError):
        raise Refused(["A valid integer is required."]) from None
    if number > most:
        raise Refused([f"Ensure this value is less than or equal to {most}."])
    if number < least:
        raise Refused([f"Ensure this value is greater than or equal to {least}."])
    return number


def _number(value: Any) -> float:
    try:
        if isinstance(value, bool):
            raise ValueError
        number = float(value)
    except (ValueError, TypeError, OverflowError):
        raise Refused(["A valid number is required."]) from None
    if number != number or number in (float("inf"), float("-inf")):
        raise Refused(["A valid number is required."])
    return number


def _moment(value: Any) -> datetime:
    try:
        if not isinstance(value, str):
            raise ValueError
        text = re.sub(r"(\.\d{6})\d+", r"\1", value.strip())
        parsed = datetime.fromisoformat(text)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise Refused([BAD_TIME]) from None


def _day(value: Any) -> date:
    try:
        if not isinstance(value, str) or not re.fullmatch(r"\d{4}-?\d{2}-?\d{2}", value.strip()):
            raise ValueError
        return date.fromisoformat(value.strip())
    except ValueError:
        raise Refused([BAD_DAY]) from None


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
        raise Refused([f"Invalid polygon: {str(value)[:200]}"]) from None


def type_name(value: Any) -> str:
    """How the original calls the type of a JSON value."""
    return {dict: "dict", str: "str", int: "int", float: "float", bool: "bool"}.get(type(value), "object")
