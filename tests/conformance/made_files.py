"""Files as an observatory makes them: raw, reduced, masters, catalogs, masks, spectra in tar files."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io.fits import BinTableHDU, Column, CompImageHDU, HDUList, Header, ImageHDU, PrimaryHDU

WORLD: dict[str, Any] = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 20.0, "CRPIX2": 15.0, "CRVAL1": 0.05, "CRVAL2": 10.0,
    "CD1_1": -0.0005, "CD1_2": 1e-6, "CD2_1": 1e-6, "CD2_2": 0.0005,
}  # fmt: skip


def cards(**changes: Any) -> Header:
    """A raw frame's header; `__` in a key stands for `-`, and None leaves a key out."""
    header: dict[str, Any] = {
        "PROPID": "TST2024A-001", "DATE-OBS": "2024-05-17T03:12:45.678", "DAY-OBS": "20240516", "INSTRUME": "fa20",
        "SITEID": "tst", "TELID": "1m0a", "OBSTYPE": "EXPOSE", "BLKUID": "0000123456", "REQNUM": "0000000789",
        "MOLUID": "0000000012", "TRACKNUM": "UNSPECIFIED", "OBJECT": "M84", "FILTER": "rp", "EXPTIME": 30.5,
        "RLEVEL": 0, "UTSTOP": "03:13:16.178", "USERID": "ada", "RA": "12:25:03.700", "DEC": "+12:53:13.10",
        "L1PUBDAT": "2025-05-17T03:12:45", "ORIGNAME": "itself-e00.fits",
    }  # fmt: skip
    header |= {key.replace("__", "-"): value for key, value in changes.items()}
    return Header([(key, value) for key, value in header.items() if value is not None])


def image(*shape: int, **changes: Any) -> PrimaryHDU:
    """Forty by thirty pixels, or another shape."""
    return PrimaryHDU(np.arange(1200, dtype=np.int16).reshape(shape or (30, 40)), cards(**changes))


def packed(name: str = "SCI", **changes: Any) -> HDUList:
    """The same, tile-compressed, in an extension of this name."""
    pixels = np.arange(1200, dtype=np.int16).reshape(30, 40)
    return HDUList([PrimaryHDU(), CompImageHDU(pixels, cards(**changes), name=name)])


def stars() -> BinTableHDU:
    """A small catalog."""
    return BinTableHDU.from_columns([Column("x", "E", array=np.arange(3.0)), Column("flux", "D", array=np.ones(3))])


def reduced(**changes: Any) -> HDUList:
    """An image with its catalog and its mask."""
    mask = CompImageHDU(np.zeros((30, 40), np.uint8), name="BPM")
    catalog = stars()
    catalog.name = "CAT"
    pixels = CompImageHDU(np.ones((30, 40), np.float32), cards(**{"RLEVEL": 91, **changes}), name="SCI")
    return HDUList([PrimaryHDU(), pixels, mask, catalog])


def spectrum() -> bytes:
    """A tar file as spectrograph pipelines make them."""
    member = io.BytesIO()
    image(OBSTYPE="SPECTRUM", RLEVEL=90, INSTRUME="en06").writeto(member)
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as tar:
        for name, content in (("notes.txt", b"read me"), ("tst2m001-en06-20240516-0001-e90.fits", member.getvalue())):
            entry = tarfile.TarInfo(f"spectrum/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return whole.getvalue()


def make_files(folder: Path) -> dict[str, Path]:
    """One file of each sort, by what it is."""
    stem = "tst1m012-fa20-20240516"
    catalog = HDUList([PrimaryHDU(header=cards(RLEVEL=None, OBSTYPE="EXPOSE")), stars()])
    reference = {"L1IDBIAS": "bias_fa20.fits.fz", "L1IDDARK": "dark_fa20", "L1IDFLAT": "N/A", "L1IDMASK": ""}
    made: dict[str, tuple[str, Any]] = {
        "raw": (f"{stem}-0001-e00.fits", image(**WORLD)),
        "packed": (f"{stem}-0002-e00.fits.fz", packed(**WORLD)),
        "reduced": (f"{stem}-0002-e91.fits.fz", reduced(**WORLD, **reference)),
        "master": (
            "bias_fa20_20240516_bin2x2.fits.fz",
            packed(OBSTYPE="BIAS", PROPID="calibrate", REQNUM="N/A", OBJECT="N/A", FILTER="N/A", RA="N/A", DEC="N/A",
                   L1IDBIAS="N/A", L1IDMASK="bpm_fa20.fits.fz", L1PUBDAT=None, EXPTIME=0.0),
        ),
        "catalog": (f"{stem}-0001-e91_cat.fits.fz", catalog),
        "mask": ("tst1m012-fa20-20240516-bpm-full.fits.fz", packed(OBSTYPE="DARK", RLEVEL=None)),
        "mask by its extension": (f"{stem}-0009-b00.fits.fz", packed("BPM", OBSTYPE="BIAS")),
        "guide": (f"{stem}-0003-g00.fits", image(OBSTYPE="GUIDE", L1PUBDAT=None)),
        "trailed": (f"{stem}-0004-t00.fits", image(OBSTYPE="TRAILED", L1PUBDAT=None)),
        "cube": (f"{stem}-0005-e00.fits", image(1, 30, 40, **WORLD)),
        "untold": (f"{stem}-0006-e00.fits.fz", packed(OBSTYPE="UNKNOWN", RLEVEL=None)),
        "circle": (f"{stem}-0007-e00.fits", image(RADIUS=3600.0, RA="01:00:00", DEC="-10:30:00")),
        "extensions": (
            f"{stem}-0008-e00.fits",
            HDUList([PrimaryHDU(), ImageHDU(np.zeros((3, 3))), ImageHDU(np.ones((4, 4)), cards(OBJECT="second"))]),
        ),
        "no instrument": (f"{stem}-0010-e00.fits", image(INSTRUME="N/A")),
    }  # fmt: skip
    files = {}
    for kind, (name, hdus) in made.items():
        files[kind] = folder / name
        hdus.writeto(files[kind], overwrite=True)
    files["tar"] = folder / "tst2m001-en06-20240516-0001-e90.tar.gz"
    files["tar"].write_bytes(spectrum())
    return files
