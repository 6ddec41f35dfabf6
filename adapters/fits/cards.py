"""The cards of a header as values that JSON can hold."""

from __future__ import annotations

import math
import warnings
from collections.abc import Container, Iterable
from typing import Any

from astropy.io.fits import Header
from astropy.io.fits.card import Undefined
from astropy.io.fits.verify import VerifyError, VerifyWarning

from adapters.fits.sizes import CARD

Value = bool | int | float | str | None

_COMMENTARY = frozenset(("COMMENT", "HISTORY", ""))
_PRINTABLE = bytes(
    code if 0x20 <= code <= 0x7E else (0x20 if code in (0x00, 0x09, 0x0A, 0x0D) else 0x3F) for code in range(256)
)
"""Blanks for NUL, tab and line ends, which careless writers pad with; a question mark for what isn't ASCII."""
_UNREADABLE = (VerifyError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError)

# Odd cards are ordinary in real files and are dealt with here; a warning for each would drown the log.
warnings.filterwarnings("ignore", category=VerifyWarning, module=r"astropy\.io\.fits")


def header_values(header: bytes, without: Container[str] = ()) -> dict[str, Value]:
    """Keyword to value, in the header's order. `header` is whole cards, without END.

    Of a repeated keyword the first card counts, as FITS libraries read it; commentary cards are joined by line ends,
    and left out, at no cost, where `without` names them (COMMENT, HISTORY, or '' for the nameless).
    A card that can't be read is left out. NaN, infinity and undefined values become None, complex numbers text.
    """
    text = header.translate(_PRINTABLE).decode("ascii")
    unwanted = {keyword for keyword in _COMMENTARY if keyword in without}
    cards = (text[at : at + CARD].ljust(CARD) for at in range(0, len(text), CARD))
    parsed = Header.fromstring("".join(card for card in cards if _is_wanted(card, unwanted)))
    values: dict[str, Value] = {}
    for card in parsed.cards:
        try:
            keyword, value = card.keyword, card.value
        except _UNREADABLE:
            continue
        if keyword in _COMMENTARY:
            earlier = values.get(keyword)
            values[keyword] = str(value) if earlier is None else f"{earlier}\n{value}"
        elif keyword not in values:
            values[keyword] = json_value(value)
    return values


def _is_wanted(card: str, unwanted: Container[str]) -> bool:
    """False for unwanted commentary and for what is no card by any convention."""
    keyword = card[:8].rstrip()
    if keyword in _COMMENTARY:
        return keyword not in unwanted
    return 0 < card.find("= ") <= 8 or keyword == "CONTINUE" or (keyword == "HIERARCH" and "= " in card)


def missing_keys(header: bytes, required: Iterable[str], given: Container[str]) -> list[str]:
    """The required keywords that no card of the header and nothing in `given` has, without parsing the values."""
    if b"HIERARCH" in header.upper():
        return []
    present = {header[at : at + 9].split(b"=", 1)[0].strip().upper() for at in range(0, len(header), CARD)}
    return [key for key in required if key not in given and key.encode() not in present]


def json_value(value: Any) -> Value:
    """The value as JSON can hold it, integers within 64 bits."""
    match value:
        case None | bool() | str():
            return value
        case int() if -(1 << 63) <= value < 1 << 63:
            return value
        case int():
            return float(value) if value.bit_length() <= 1023 else None
        case float():
            return float(value) if math.isfinite(value) else None
        case Undefined():
            return None
        case _:
            return str(value)
