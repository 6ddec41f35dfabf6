"""FITS files of a wanted size with full headers, no two alike."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from tests.benchmarks.frames import Payload

STRUCTURE = frozenset("SIMPLE BITPIX NAXIS NAXIS1 NAXIS2 EXTEND BSCALE BZERO CHECKSUM DATASUM EXTNAME EXTVER".split())
WIDTH = 1024


def write_fits(folder: Path, frame: Payload, size: int, **cards: Any) -> Path:
    """A 16-bit image of about `size` bytes, at least a row, named after the frame; `cards` replace its header's."""
    header = fits.Header()
    for name, value in {**frame["headers"], **cards}.items():
        if name not in STRUCTURE:
            header[name] = value
    rows = max(1, size // (2 * WIDTH))
    seed = zlib.crc32(frame["basename"].encode())
    block = np.random.default_rng(seed).integers(0, 30_000, (min(rows, 512), WIDTH), np.int16)
    path = folder / f"{frame['basename']}.fits"
    head = fits.Header([("SIMPLE", True), ("BITPIX", 16), ("NAXIS", 2), ("NAXIS1", WIDTH), ("NAXIS2", rows)])
    head.extend(header, strip=False)
    noise = block.astype(">i2").tobytes()
    wanted = rows * WIDTH * 2
    with path.open("wb") as file:
        file.write(head.tostring().encode("ascii"))
        for start in range(0, wanted, len(noise)):
            file.write(noise[: wanted - start])
        file.write(b"\0" * (-wanted % 2880))
    return path
