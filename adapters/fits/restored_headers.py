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


def image_cards(cards: Sequence[bytes], *, blocks: int, primary: Iterable[bytes] = ()) -> list[bytes]:
    """The image's cards, from the cards of its table, whose header takes up `blocks` blocks in the file.

    Whole spare blocks of the header are kept. `primary` are the cards of an empty primary HDU that was made only to
    carry the table: what is the observatory's own among them comes last.
    """
    restored = [card for card in map(_translated, cards) if card]
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


def _translated(card: bytes) -> bytes:
    """The card as the image has it; empty when it belongs to the table."""
    keyword = _keyword(card)
    renamed = _RENAMED.get(keyword)
    if axis := _AXIS.fullmatch(keyword):
        renamed = b"NAXIS" + axis[1]
    if renamed:
        return renamed.ljust(8) + card[8:]
    if _OF_THE_TABLE.fullmatch(keyword) or card.startswith(_PLACEHOLDER):
        return b""
    return card


def _keyword(card: bytes) -> bytes:
    return card[:8].rstrip()
