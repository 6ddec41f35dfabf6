"""The header of the image inside a tile-compressed table (FITS standard 4.0, section 10.1)."""

from __future__ import annotations

import re

from adapters.fits.cards import Value

_OF_THE_TABLE = re.compile(
    r"XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS|THEAP|CHECKSUM|DATASUM|EXTEND"
    r"|(TTYPE|TFORM|TUNIT|TNULL|TSCAL|TZERO|TDISP|TDIM|TBCOL)\d+"
    r"|(TCTYP|TCUNI|TCRPX|TCRVL|TCDLT|TRPOS)\d+"
    r"|Z(IMAGE|CMPTYPE|MASKCMP|QUANTIZ|DITHER0|BLANK|SCALE|ZERO|SIMPLE|TENSION|EXTEND|BLOCKED|HECKSUM|DATASUM)"
    r"|Z(BITPIX|PCOUNT|GCOUNT|NAXIS\d*|(TILE|NAME|VAL)\d+)"
)


def image_values(values: dict[str, Value]) -> dict[str, Value]:
    """The values as an image header has them; unchanged when the header isn't a tile-compressed image's."""
    if values.get("ZIMAGE") is not True:
        return values
    image: dict[str, Value] = {"SIMPLE": values["ZSIMPLE"]} if "ZSIMPLE" in values else {"XTENSION": "IMAGE"}
    image["BITPIX"] = values.get("ZBITPIX")
    axes = values.get("ZNAXIS")
    image["NAXIS"] = axes
    for axis in range(1, min(axes, 999) + 1 if isinstance(axes, int) else 1):
        image[f"NAXIS{axis}"] = values.get(f"ZNAXIS{axis}")
    if "ZSIMPLE" not in values:
        image["PCOUNT"] = values.get("ZPCOUNT", 0)
        image["GCOUNT"] = values.get("ZGCOUNT", 1)
    for of_table, of_image in (
        ("ZEXTEND", "EXTEND"),
        ("ZBLOCKED", "BLOCKED"),
        ("ZHECKSUM", "CHECKSUM"),
        ("ZDATASUM", "DATASUM"),
    ):
        if of_table in values:
            image[of_image] = values[of_table]
    for keyword, value in values.items():
        if not _OF_THE_TABLE.fullmatch(keyword) and not (keyword == "EXTNAME" and value == "COMPRESSED_IMAGE"):
            image[keyword] = value
    bits = image["BITPIX"]
    if "ZBLANK" in values and isinstance(bits, int) and bits > 0:
        image.setdefault("BLANK", values["ZBLANK"])
    return image
