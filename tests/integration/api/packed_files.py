"""FITS files as telescopes and pipelines pack them, each unlike any other."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from astropy.io import fits

from tests.records import fits_bytes

PROBLEM = "There was a problem downloading your files. Please try again later or select fewer files."
PIXELS = np.arange(64 * 48, dtype=np.int16).reshape(48, 64)


def packed(**cards: Any) -> bytes:
    """A raw frame as one packed image, as fpack makes it of a file with a primary image only."""
    with fits.open(io.BytesIO(fits_bytes(**cards))) as plain:
        image = fits.CompImageHDU(PIXELS, plain[0].header, compression_type="RICE_1")
    return _written(image)


def reduced(*, catalogue: bool = True, **cards: Any) -> bytes:
    """A reduced frame: packed SCI and ERR images, and the table of sources that CAT is, unless left out."""
    with fits.open(io.BytesIO(fits_bytes(**{"RLEVEL": 91, **cards}))) as plain:
        science = fits.CompImageHDU(PIXELS, plain[0].header, name="SCI")
    table = fits.BinTableHDU.from_columns(
        [fits.Column("x", "D", array=np.arange(5.0)), fits.Column("flux", "D", array=np.arange(5.0) * 10)], name="CAT"
    )
    error = fits.CompImageHDU(PIXELS.astype(np.float32), name="ERR")
    return _written(science, *([table] if catalogue else []), error)


def unpacked_pixels(data: bytes) -> np.ndarray[Any, Any]:
    """The pixels of the first image in an unpacked file."""
    with fits.open(io.BytesIO(data)) as found:
        hdu = next(hdu for hdu in found if hdu.data is not None)
        assert not isinstance(hdu, fits.CompImageHDU)
        return np.asarray(hdu.data)


def _written(*hdus: fits.hdu.base._BaseHDU) -> bytes:
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(out)
    return out.getvalue()


def undecodable() -> bytes:
    """A packed frame, sound in structure, whose algorithm nobody knows."""
    return packed().replace(b"'RICE_1  '", b"'NOBODYS '")
