"""Small FITS files for the tests, made with astropy or by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io.fits import CompImageHDU, HDUList, Header, ImageHDU, PrimaryHDU

from adapters.fits.reader import FitsReader
from application.ports.frame_reader import Described

NAME = "tst1m012-fa20-20240517-0042-e00"

WORLD: dict[str, Any] = {
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRPIX1": 512.0,
    "CRPIX2": 512.0,
    "CRVAL1": 0.05,
    "CRVAL2": 10.0,
    "CD1_1": -0.0005,
    "CD1_2": 0.0,
    "CD2_1": 0.0,
    "CD2_2": 0.0005,
}


def header(**changes: Any) -> Header:
    """A sound header; a key given as None is left out, `__` in a key stands for `-`."""
    cards: dict[str, Any] = {
        "PROPID": "TST2024A-001",
        "DATE-OBS": "2024-05-17T03:12:45.678",
        "DAY-OBS": "20240516",
        "INSTRUME": "fa20",
        "SITEID": "tst",
        "TELID": "1m0a",
        "OBSTYPE": "EXPOSE",
        "BLKUID": "0000123456",
        "REQNUM": "0000000789",
        "OBJECT": "M84",
        "FILTER": "rp",
        "EXPTIME": 30.5,
        "RLEVEL": 0,
    }
    cards.update({key.replace("__", "-"): value for key, value in changes.items()})
    return Header([(key, value) for key, value in cards.items() if value is not None])


def plain(folder: Path, name: str = f"{NAME}.fits", shape: tuple[int, ...] = (5, 4), **changes: Any) -> Path:
    """An image in the primary HDU."""
    path = folder / name
    PrimaryHDU(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), header(**changes)).writeto(path)
    return path


def compressed(folder: Path, name: str = f"{NAME}.fits.fz", shape: tuple[int, ...] = (5, 40), **changes: Any) -> Path:
    """A tile-compressed image in the first extension."""
    path = folder / name
    pixels = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    HDUList([PrimaryHDU(), CompImageHDU(pixels, header(**changes), name="SCI")]).writeto(path)
    return path


def with_extensions(path: Path, headers: list[Header]) -> Path:
    """An empty primary HDU and one small image for each header."""
    HDUList([PrimaryHDU(), *(ImageHDU(np.zeros((3, 3), np.float32), cards) for cards in headers)]).writeto(path)
    return path


def raw_header(*cards: str | bytes) -> bytes:
    """Header blocks of exactly these cards, with END and padding."""
    images = [card.encode() if isinstance(card, str) else card for card in (*cards, "END")]
    text = b"".join(image.ljust(80) for image in images)
    return text.ljust(-(-len(text) // 2880) * 2880)


def structural(*, simple: bool = True, bitpix: Any = 16, axes: tuple[Any, ...] = (), **others: Any) -> list[str]:
    """The cards that say how large the data are; values are written as they are given."""
    cards = ["SIMPLE  =                    T" if simple else "XTENSION= 'IMAGE   '", f"BITPIX  = {bitpix:>20}"]
    cards.append(f"NAXIS   = {len(axes):>20}")
    cards += [f"NAXIS{number:<3}= {length:>20}" for number, length in enumerate(axes, 1)]
    return cards + [f"{key:<8}= {value:>20}" for key, value in others.items()]


def required_cards() -> list[str]:
    """The required headers as cards."""
    return [str(card).rstrip() for card in header().cards]


def describe(path: Path, reader: FitsReader | None = None) -> Described:
    """What a reader, with default settings unless another is given, says of the file."""
    return (reader or FitsReader()).describe(path, path.name)
