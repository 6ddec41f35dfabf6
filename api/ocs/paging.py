"""Links between pages: by offset, by cursor, and the place that a link by offset carries along so that what arrives
meanwhile doesn't shift its pages."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec

from api.ocs.answers import NotVisible
from api.ocs.filters import Parameters
from projections.frames.keyset import Mark, Order

_Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
_KINDS: dict[str, Any] = {
    "id": _Int32,
    "reduction_level": _Int32,
    "observation_date": Annotated[datetime, msgspec.Meta(tz=True)],
    "exposure_time": float | None,
}
"""Of the columns that aren't text."""


class Place(msgspec.Struct, frozen=True):
    """Where a page begins: behind a mark, read `backwards` or not. `offset` is the one that it stands for."""

    mark: Mark
    backwards: bool = False
    offset: int = 0


class _Token(msgspec.Struct, array_like=True, frozen=True):
    order: str
    values: list[msgspec.Raw]
    backwards: bool
    offset: int


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Token)
_decoders = {column: msgspec.json.Decoder(kind) for column, kind in _KINDS.items()}
_text = msgspec.json.Decoder(str)


def write_place(order: Order, place: Place) -> str:
    """A place in a total order as an opaque text for links."""
    token = (_named(order), place.mark.values, place.backwards, place.offset)
    return urlsafe_b64encode(_encoder.encode(token)).rstrip(b"=").decode()


def read_place(order: Order, text: str) -> Place | None:
    """The place again; None for a text that isn't one in this order."""
    try:
        token = _decoder.decode(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
        if token.order != _named(order) or len(token.values) != len(order):
            return None
        values = tuple(
            _decoders.get(column, _text).decode(value) for (column, _), value in zip(order, token.values, strict=True)
        )
    except (ValueError, binascii.Error, msgspec.DecodeError, RecursionError):
        return None
    if any(isinstance(value, str) and "\0" in value for value in values):
        return None
    return Place(Mark(values), token.backwards, token.offset)


def place_of_cursor(order: Order, text: str) -> Place | None:
    """Where a cursor leads; None for no cursor, the beginning. Raises NotVisible for one that isn't ours."""
    if not text:
        return None
    place = read_place(order, text)
    if place is None:
        raise NotVisible("Invalid cursor")
    return place


def page_link(address: str, parameters: Parameters, dropped: Collection[str], **changed: object) -> str:
    """An absolute link that repeats all parameters, sorted, but for those dropped; null ones aren't added."""
    kept = [(name, value) for name, value in parameters if name not in dropped and name not in changed]
    kept += [(name, str(value)) for name, value in changed.items() if value is not None]
    return f"{address}?{urlencode(sorted(kept))}"


def _named(order: Order) -> str:
    return ",".join(f"-{column}" if descending else column for column, descending in order)
