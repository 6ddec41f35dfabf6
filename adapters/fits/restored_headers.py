"""The header of the image that a tile-compressed table holds, card by card (FITS standard 4.0, section 10.1).

Where the convention leaves a choice, CFITSIO's is taken, so that the bytes are those of its funpack.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from adapters.fits.sizes import CARD

BLOCK_CARDS = 36
_BLANK = b" " * CARD
_RENAMED = {
    b"ZSIMPLE": b"SIMPLE",
    b"ZTENSION": b"XTENSION",
    b"ZBITPIX": b"BITPIX",
    b"ZNAXIS": b"NAXIS",
    b"ZEXTEND": b"EXTEND",
    b"ZBLOCKED": b"BLOCKED",
    b"ZPCOUNT": b"PCOUNT",
    b"ZGCOUNT": b"GCOUNT",
    b"ZHECKSUM": b"CHECKSUM",
    b"ZDATASUM": b"DATASUM",
}
_AXIS = re.compile(rb"ZNAXIS(\d+)")
_OF_THE_TABLE = re.compile(
    rb"XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS|THEAP|CHECKSUM|DATASUM|(TTYPE|TFORM)\d+"
    rb"|Z(IMAGE|QUANTIZ|DITHER0|CMPTYPE|BLANK|(TILE|NAME|VAL)\d+)"
)
_OF_THE_PRIMARY = re.compile(rb"SIMPLE|BITPIX|NAXIS\d*|PCOUNT|EXTEND|GCOUNT|CHECKSUM|DATASUM|EXTNAME|HISTORY|COMMENT")
_PLACEHOLDER = b"EXTNAME = 'COMPRESSED_IMAGE'"


def cards_of(header: bytes) -> list[bytes]:
    """The cards of a header, without the blank ones before END."""
    cards = [header[at : at + CARD].ljust(CARD) for at in range(0, len(header), CARD)]
    while cards and cards[-1] == _BLANK:
        cards.pop()
    return cards


def image_cards(
    cards: Sequence[bytes], *, blocks: int, takes_first_place: bool = False, primary: Iterable[bytes] = ()
) -> list[bytes]:
    """The image's cards, from the cards of its table, whose header takes up `blocks` blocks in the file.

    Whole spare blocks of the header are kept. An image that was a file's first HDU and can't be so again becomes an
    extension; else `primary` are the cards of the empty HDU that was made only to carry its table: what is the
    observatory's own among them comes last.
    """
    structure = _as_extension(cards) if _belonged_first(cards) and not takes_first_place else []
    kept = cards if not structure else [card for card in cards if _keyword(card) not in _RENAMED and not _axis(card)]
    restored = structure + [card for card in map(_translated, kept) if card]
    spare = (blocks * BLOCK_CARDS - len(cards) - 1) // BLOCK_CARDS
    restored += [_BLANK] * (spare * BLOCK_CARDS)
    restored += [card for card in primary if not _OF_THE_PRIMARY.fullmatch(_keyword(card))]
    return restored


def header_bytes(cards: Sequence[bytes], *, blocks: int = 1) -> bytes:
    """A header of these cards, with END and padding, in `blocks` blocks or as many as it needs.

    END stands in the last block, as CFITSIO leaves it: what is blank before it is room for more cards.
    """
    blocks = max(blocks, len(cards) // BLOCK_CARDS + 1)
    kept = b"".join(cards).rstrip()
    used = -(-len(kept) // CARD)
    end = max(used, (blocks - 1) * BLOCK_CARDS)
    return (kept.ljust(end * CARD) + b"END").ljust(blocks * BLOCK_CARDS * CARD)


def _belonged_first(cards: Sequence[bytes]) -> bool:
    return not any(card.startswith(b"ZTENSION") for card in cards)


def _as_extension(cards: Sequence[bytes]) -> list[bytes]:
    """The structure of an image extension, in CFITSIO's words, with the numbers of these cards."""
    numbers = {_keyword(card): card[10:30].decode("latin-1") for card in cards}
    axes = [(name.decode()[1:], numbers[name]) for name in numbers if _AXIS.fullmatch(name)]
    lines = [
        "XTENSION= 'IMAGE   '           / IMAGE extension",
        f"BITPIX  = {numbers.get(b'ZBITPIX', '')} / number of bits per data pixel",
        f"NAXIS   = {numbers.get(b'ZNAXIS', '')} / number of data axes",
        *(f"{name:<8}= {number} / length of data axis {name[5:]}" for name, number in axes),
        f"PCOUNT  = {0:>20} / required keyword; must = 0",
        f"GCOUNT  = {1:>20} / required keyword; must = 1",
    ]
    return [line.encode("latin-1").ljust(CARD) for line in lines]


def _translated(card: bytes) -> bytes:
    """The card as the image has it; empty when it belongs to the table."""
    keyword = _keyword(card)
    renamed = _axis(card) or _RENAMED.get(keyword)
    if renamed:
        return renamed.ljust(8) + card[8:]
    if _OF_THE_TABLE.fullmatch(keyword) or card.startswith(_PLACEHOLDER):
        return b""
    return card


def _axis(card: bytes) -> bytes:
    """The image's name of an axis; empty for any other card."""
    axis = _AXIS.fullmatch(_keyword(card))
    return b"NAXIS" + axis[1] if axis else b""


def _keyword(card: bytes) -> bytes:
    return card[:8].rstrip()
