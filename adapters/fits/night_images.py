"""Small images that look like what a camera sees: noise, a pedestal, gradients and stars."""

from __future__ import annotations

import zlib
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from adapters.fits.night_plan import Exposure

Pixels: TypeAlias = npt.NDArray[np.int16] | npt.NDArray[np.float32]

PEDESTAL = 400.0
SKY_PER_SECOND = 1.5
_STAMP = 8


def image(exposure: Exposure, size: int, seed: int) -> Pixels:
    """`size` x `size` pixels: int16 counts of a raw frame, float32 electrons per exposure of a reduced one."""
    noise = np.random.default_rng([seed, zlib.crc32(exposure.basename.encode())])
    pixels = noise.normal(0.0, 6.0, (size, size))
    if exposure.configuration_type == "DARK":
        pixels += 0.02 * exposure.exposure_time
    elif exposure.configuration_type == "SKYFLAT":
        ramp = np.linspace(-1.0, 1.0, size)
        pixels += 18_000.0 * (1.0 - 0.05 * (ramp[:, None] ** 2 + ramp[None, :] ** 2)) + noise.normal(0.0, 130.0)
    elif exposure.target is not None:
        pixels += SKY_PER_SECOND * exposure.exposure_time
        _add_stars(pixels, exposure, seed)
    if exposure.level:
        return pixels.astype(np.float32)
    return np.clip(pixels + PEDESTAL, 0, 32_767).astype(np.int16)


def _add_stars(pixels: npt.NDArray[np.float64], exposure: Exposure, seed: int) -> None:
    """The same stars in every frame of a target, a little displaced as pointing is never perfect."""
    assert exposure.target is not None
    field = np.random.default_rng([seed, zlib.crc32(exposure.target.name.encode())])
    size = pixels.shape[0]
    count = 40 + size // 4
    places = field.uniform(0, size, (count, 2)) + (exposure.number % 5) * 0.3
    fluxes = exposure.exposure_time * 20.0 * field.pareto(1.3, count).clip(0.05, 400.0)
    for (y, x), flux in zip(places, fluxes, strict=True):
        top, left = max(0, int(y) - _STAMP), max(0, int(x) - _STAMP)
        rows, columns = np.ogrid[top : min(size, int(y) + _STAMP), left : min(size, int(x) + _STAMP)]
        distance = (rows - y) ** 2 + (columns - x) ** 2
        pixels[top : top + rows.size, left : left + columns.size] += flux / 14.1 * np.exp(-distance / 4.5)
