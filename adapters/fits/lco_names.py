"""What an LCO file name says where the header is silent: configuration type, reduction level, catalog, mask.

Names look like `coj1m011-kb05-20150219-0125-e90`: site, enclosure and telescope; instrument; night; number; and a
letter for the type with two digits for the level.
"""

from __future__ import annotations

import re

from domain.errors import InvalidFile

_BY_LETTER = {
    "b": "BIAS",
    "d": "DARK",
    "f": "SKYFLAT",
    "g": "GUIDE",
    "s": "STANDARD",
    "w": "LAMPFLAT",
    "x": "EXPERIMENTAL",
}
_MASK = re.compile(r"(?:^|[-_])bpm(?:[-_]|$)")
_SOAR_LEVELS = (("wecfzst", 64), ("ecfzst", 63), ("cfzst", 62))


def inferred_type(basename: str, *, enclosure: str, telescope: str) -> str:
    """The configuration type of a frame whose header has none. Raises InvalidFile when the name doesn't tell."""
    parts = basename.split("-")
    if parts[0] in ("trace", "arc"):
        return parts[0].upper()
    if len(parts) > 3 and parts[3] in ("bias", "bpm"):
        return parts[3].upper()
    letter = parts[4][:1] if len(parts) > 4 else ""
    is_nres = "igl" in enclosure or "igl" in telescope
    if letter == "e":
        if is_nres:
            return "TARGET"
        return "SPECTRUM" if "en" in parts[1] else "EXPOSE"
    if letter == "a":
        return "DOUBLE" if is_nres else "ARC"
    if letter in _BY_LETTER:
        return _BY_LETTER[letter]
    raise InvalidFile(
        f"{basename} has no configuration type in its header, and its name doesn't tell one: correct the header."
    )


def inferred_level(basename: str, extension: str) -> int:
    """The reduction level of a frame whose header has none: 90 for a tar file, else what the name ends with, or 0.

    A catalog has the level of its frame.
    """
    if extension == ".tar.gz":
        return 90
    digits = frame_of_catalog(basename)[-2:]
    return int(digits) if len(digits) == 2 and digits.isascii() and digits.isdecimal() else 0


def soar_level(basename: str) -> int | None:
    """The reduction level that the prefix of a SOAR file name stands for."""
    return next((level for prefix, level in _SOAR_LEVELS if basename.startswith(prefix)), None)


def is_catalog(basename: str) -> bool:
    """Whether the file is a source catalog of a frame."""
    return "_cat" in basename


def frame_of_catalog(basename: str) -> str:
    """The basename of the frame that a catalog was made from; of another file its own."""
    return basename.replace("_cat", "")


def is_mask(basename: str) -> bool:
    """Whether the name says that this is a bad-pixel mask."""
    return bool(_MASK.search(basename))
