"""How the own API answers: JSON bodies, and lists with opaque cursors."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from litestar import Response

from api.ocs.answers import json_answer
from api.serving import AnyRequest
from domain.errors import InvalidInput

__all__ = ["Window", "body_of", "json_answer", "listing", "read_cursor", "window", "write_cursor"]

Window = tuple[int, int]
"""Rows with numbers below the first, at most as many as the second says."""

LARGEST = 2**62

T = TypeVar("T")


def window(request: AnyRequest) -> Window:
    """Where a list continues, from `cursor` and `limit` (default 100, at most 1000). Raises InvalidInput."""
    text = request.query_params.get("limit", "100")
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:9]) <= 1000:
        raise InvalidInput("limit is a number from 1 to 1000.", field="limit")
    cursor = request.query_params.get("cursor", "")
    if not cursor:
        return LARGEST, int(text)
    return read_cursor(cursor), int(text)


def read_cursor(cursor: str) -> int:
    """The number of the row that a cursor stands for. Raises InvalidInput."""
    try:
        number = int(base64.urlsafe_b64decode(cursor.encode()).decode())
    except (ValueError, binascii.Error):
        number = -1
    if not 0 <= number <= LARGEST:
        raise InvalidInput("This cursor isn't one that a list gave you.", field="cursor")
    return number


def write_cursor(number: int) -> str:
    """The reverse."""
    return base64.urlsafe_b64encode(str(number).encode()).decode()


async def body_of(request: AnyRequest, kind: type[T]) -> T:
    """The JSON body as `kind`. Raises InvalidInput for what doesn't fit, null characters included: PostgreSQL
    can't store them."""
    body = await request.body()
    try:
        body.decode()
        found = msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"The body can't be used: {error}.") from error
    if b"\\u0000" in body:
        raise InvalidInput("The body holds a null character.")
    return found


def listing(rows: Sequence[dict[str, Any]], limit: int, numbers: Sequence[int]) -> Response[bytes]:
    """A page of rows (one more than `limit` was fetched to see whether there are more)."""
    more = len(rows) > limit
    cursor = write_cursor(numbers[limit - 1]) if more else None
    return json_answer({"results": rows[:limit], "next_cursor": cursor})
