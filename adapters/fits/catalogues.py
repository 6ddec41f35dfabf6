"""The catalogue of a reduced frame as a small FITS file of its own: the image's header and the CAT table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from adapters.fits.byte_streams import PlainStream
from adapters.fits.cards import header_values
from adapters.fits.hdus import BLOCK, Hdu, copied, hdus
from adapters.fits.restored_headers import cards_of, header_bytes, image_cards
from adapters.fits.sizes import CARD, structure_of
from domain.errors import InvalidFile

IMAGE, TABLE = "SCI", "CAT"

_STRUCTURE = re.compile(rb"SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|EXTEND|CHECKSUM|DATASUM|BSCALE|BZERO|BLANK")


class Catalogue:
    """The catalogue in a FITS file, packed or not. `source` is seekable and has `size` bytes.

    Raises InvalidFile when there is none, NotFits, TruncatedFile, AbsurdSize, and what the source raises.
    """

    def __init__(self, source: BinaryIO, size: int, filename: str, *, max_bytes: int) -> None:
        self._source = source
        found: dict[str, Hdu] = {}
        for hdu in hdus(PlainStream(source, size), filename, max_bytes=max_bytes):
            found.setdefault(_name(hdu), hdu)
        missing = [name for name in (IMAGE, TABLE) if name not in found]
        if missing:
            raise InvalidFile(f"{filename} has no extension {' and no '.join(missing)}, so it holds no catalogue.")
        self._header = _as_primary(found[IMAGE])
        self._table = found[TABLE]
        self._padded = self._table.data_start - self._table.start + self._table.data_bytes
        self._padded += -self._table.data_bytes % BLOCK
        self.size = len(self._header) + self._padded

    def pieces(self) -> Iterator[bytes]:
        """The file's bytes, in order."""
        yield self._header
        yield from copied(self._source, self._table.start, self._padded)


def _name(hdu: Hdu) -> str:
    return str(header_values(hdu.header, without=("COMMENT", "HISTORY", "")).get("EXTNAME", "")).strip().upper()


def _as_primary(image: Hdu) -> bytes:
    """The image's header as that of a primary HDU without data."""
    cards = cards_of(image.header)
    if structure_of(image.header).get("ZIMAGE") == "T":
        cards = image_cards(cards, blocks=1)
    structure = (("SIMPLE", "T"), ("BITPIX", "8"), ("NAXIS", "0"), ("EXTEND", "T"))
    own = [card for card in cards if not _STRUCTURE.fullmatch(card[:8].rstrip())]
    return header_bytes([f"{name:<8}= {value:>20}".ljust(CARD).encode() for name, value in structure] + own)
