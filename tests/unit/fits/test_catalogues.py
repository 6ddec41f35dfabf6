"""Catalogues as files of their own: row D11 of the contract."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from adapters.fits.catalogues import Catalogue
from domain.errors import InvalidFile, TruncatedFile

TABLE = fits.Column("flux", "D", array=np.arange(500.0))


def made(folder: Path, *names: str, packed: bool = True, **cards: Any) -> bytes:
    kind = fits.CompImageHDU if packed else fits.ImageHDU
    hdus: list[Any] = [fits.PrimaryHDU()]
    for name in names:
        if name == "CAT":
            hdus.append(fits.BinTableHDU.from_columns([TABLE], name="CAT"))
        else:
            hdus.append(kind(np.arange(12, dtype=np.uint16).reshape(3, 4), fits.Header(list(cards.items())), name=name))
    file = folder / "x.fits.fz"
    fits.HDUList(hdus).writeto(file, overwrite=True, checksum=True)
    return file.read_bytes()


def catalogue_of(data: bytes) -> bytes:
    content = Catalogue(io.BytesIO(data), len(data), "x.fits.fz", max_bytes=1 << 30)
    found = b"".join(content.pieces())
    assert len(found) == content.size
    return found


@pytest.mark.parametrize("packed", [True, False])
def test_d11_the_image_gives_its_header_and_no_pixels(tmp_path: Path, packed: bool) -> None:
    data = made(tmp_path, "ERR", "SCI", "BPM", "CAT", packed=packed, OBJECT="M84", CRVAL1=186.25)
    with fits.open(io.BytesIO(catalogue_of(data))) as found:
        found.verify("exception")
        primary, table = found
        assert (primary.header["NAXIS"], primary.header["EXTNAME"]) == (0, "SCI")
        assert (primary.header["OBJECT"], primary.header["CRVAL1"]) == ("M84", 186.25)
        assert not {"ZIMAGE", "BZERO", "CHECKSUM", "PCOUNT"} & set(primary.header)
        assert np.array_equal(table.data["flux"], TABLE.array)


def test_d11_the_table_comes_byte_for_byte(tmp_path: Path) -> None:
    data = made(tmp_path, "SCI", "CAT")
    with fits.open(io.BytesIO(data)) as found:
        place = found["CAT"].fileinfo()
    assert catalogue_of(data).endswith(data[place["hdrLoc"] : place["datLoc"] + place["datSpan"]])


@pytest.mark.parametrize("names", [("SCI",), ("CAT",), ()])
def test_d11_without_image_or_table_there_is_no_catalogue(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(InvalidFile):
        catalogue_of(made(tmp_path, *names))


def test_d11_a_file_cut_short_while_it_is_read_ends_with_an_error(tmp_path: Path) -> None:
    data = made(tmp_path, "SCI", "CAT")
    source = io.BytesIO(data)
    content = Catalogue(source, len(data), "x.fits.fz", max_bytes=1 << 30)
    source.truncate(len(data) - 5760)
    with pytest.raises(TruncatedFile):
        list(content.pieces())
