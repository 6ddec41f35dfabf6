"""Makes a small, believable night of FITS files, for demonstrations and tests."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from astropy.io.fits import CompImageHDU, HDUList, PrimaryHDU

from adapters.fits.night_headers import header
from adapters.fits.night_images import image
from adapters.fits.night_plan import TELESCOPES, Exposure, exposures


def make_night(
    folder: Path, *, frames: int = 24, seed: int = 1, day: date | None = None, size: int = 256
) -> list[Path]:
    """Write `frames` files of two telescopes into `folder` and return their paths, in the order of the night.

    A third are bias, dark and flat frames; then raw science frames (`…-e00.fits.fz`, 16-bit, Rice-compressed), each
    followed by its reduced version (`…-e91`, float32, in turn `.fits` and `.fits.fz`). Fields are 26 arcmin wide and
    `size` pixels; some frames are public at once, the others a year after `day`. The same arguments give the same
    bytes. `day` is the observing night, last night (UTC) when not given.
    """
    night = day or (datetime.now(UTC) - timedelta(days=1)).date()
    folder.mkdir(parents=True, exist_ok=True)
    shares = ((frames + 1) // 2, frames // 2)
    plan = [
        exposure
        for index, (telescope, share) in enumerate(zip(TELESCOPES, shares, strict=True))
        for exposure in exposures(
            telescope, night, share, first_block=night.toordinal() % 100_000 * 10_000 + 5_000 * index
        )
    ]
    return [_write(folder, exposure, size, seed) for exposure in plan]


def _write(folder: Path, exposure: Exposure, size: int, seed: int) -> Path:
    pixels, cards = image(exposure, size, seed), header(exposure, size)
    if exposure.level and exposure.number % 2:
        path = folder / f"{exposure.basename}.fits"
        hdus = HDUList([PrimaryHDU(pixels, cards)])
    else:
        path = folder / f"{exposure.basename}.fits.fz"
        compressed = CompImageHDU(
            pixels, cards, name="SCI", compression_type="RICE_1", quantize_level=4.0, quantize_method=1, dither_seed=1
        )
        hdus = HDUList([PrimaryHDU(), compressed])
    hdus.writeto(path, overwrite=True)
    return path
