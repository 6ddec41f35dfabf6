"""Which rules a file is read by; its extension decides."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from domain.errors import InvalidFile, Misconfigured
from domain.frame_record import split_name

LONGEST_NAME = 255
"""Bytes; what file systems and destinations take as one part of a path."""


class FileKind(Enum):
    """The value is the class that the OCS archive library uses for the same rules."""

    METADATA = "DataFile"
    FITS = "FitsFile"
    LCO_FITS = "LcoFitsFile"
    SOAR_FITS = "SOARFitsFile"
    TAR_WITH_FITS = "TarWithFitsFile"
    LCO_TAR_WITH_FITS = "LcoTarWithFitsFile"

    @property
    def in_tar(self) -> bool:
        """Whether the header comes from a member of a tar file."""
        return self in (FileKind.TAR_WITH_FITS, FileKind.LCO_TAR_WITH_FITS)

    @property
    def follows_lco_names(self) -> bool:
        """Whether type, level and catalog are inferred from LCO file names where the header is silent."""
        return self in (FileKind.LCO_FITS, FileKind.LCO_TAR_WITH_FITS)


FILE_KINDS: Mapping[str, FileKind] = MappingProxyType(
    {
        ".fits": FileKind.FITS,
        ".fits.gz": FileKind.FITS,
        ".fits.fz": FileKind.LCO_FITS,
        ".tar.gz": FileKind.TAR_WITH_FITS,
    }
)


def kinds_from_override(text: str) -> dict[str, FileKind]:
    """Read `FILETYPE_MAPPING_OVERRIDES`: a Python literal of extension to dotted class path.

    Only the class's last name counts, and it must be one of the OCS library's. Raises Misconfigured.
    """
    try:
        mapping = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        mapping = None
    if not isinstance(mapping, dict) or not all(isinstance(item, str) for pair in mapping.items() for item in pair):
        raise Misconfigured(
            "FILETYPE_MAPPING_OVERRIDES must be a dict of extension to class, like {'.fits': 'LcoFitsFile'}."
        )
    kinds = {}
    for extension, path in mapping.items():
        try:
            kinds[extension] = FileKind(path.rsplit(".", 1)[-1])
        except ValueError:
            known = ", ".join(kind.value for kind in FileKind)
            raise Misconfigured(
                f"FILETYPE_MAPPING_OVERRIDES names the class {path[:200]!r}, which isn't one of {known}."
            ) from None
    return kinds


def name_parts(filename: str) -> tuple[str, str]:
    """Basename and extension of a file name that can be archived. Raises InvalidFile."""
    name = filename.rsplit("/", 1)[-1]
    basename, extension = split_name(filename)
    if not name.isprintable() or "\\" in name:
        raise InvalidFile(f"The file name {name[:200]!r} holds characters that can't be archived.")
    if len(name.encode()) > LONGEST_NAME:
        raise InvalidFile(f"The file name {name[:60]}… is longer than {LONGEST_NAME} bytes.")
    if not basename.strip() or not extension:
        raise InvalidFile(f"The file name {name!r} needs a name and an extension, like x.fits.fz.")
    return basename, extension
