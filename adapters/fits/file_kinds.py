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

LONGEST_EXTENSION = 20
"""Characters; more no client of the archive can name."""

ANY_EXTENSION = "*"
"""Stands in `FILETYPE_MAPPING_OVERRIDES` for every extension that has no entry of its own."""


class FileKind(Enum):
    """The value is the class that the OCS archive library uses for the same rules."""

    METADATA = "DataFile"
    THUMBNAIL = "ThumbnailFile"
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
    def has_headers(self) -> bool:
        """Whether the file itself says what it is; of the others only the caller's metadata do."""
        return self not in (FileKind.METADATA, FileKind.THUMBNAIL)

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
        ".pdf": FileKind.METADATA,
        ".jpg": FileKind.THUMBNAIL,
        ".jpeg": FileKind.THUMBNAIL,
    }
)

_MEDIA_TYPES = {
    ".pdf": "application/pdf",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".txt": "text/plain",
}

_CLASSES: Mapping[str, Mapping[str, FileKind | None]] = MappingProxyType(
    {
        "ocs_archive.input.file": {"DataFile": FileKind.METADATA, "File": None, "EmptyFile": None},
        "ocs_archive.input.headerdata": {"HeaderData": None},
        "ocs_archive.input.fitsfile": {"FitsFile": FileKind.FITS},
        "ocs_archive.input.lcofitsfile": {"LcoFitsFile": FileKind.LCO_FITS},
        "ocs_archive.input.soarfitsfile": {"SOARFitsFile": FileKind.SOAR_FITS},
        "ocs_archive.input.tarwithfitsfile": {"TarWithFitsFile": FileKind.TAR_WITH_FITS},
        "ocs_archive.input.lcotarwithfitsfile": {"LcoTarWithFitsFile": FileKind.LCO_TAR_WITH_FITS},
        "ocs_archive.input.thumbnailfile": {"ThumbnailFile": FileKind.THUMBNAIL},
        "archive_file_input_classes": {"PtrBaseFileClass": FileKind.METADATA},  # Photon Ranch's
        "": {kind.value: kind for kind in FileKind},
    }
)
"""The modules and classes that operators of OCS archives name in their settings; None: not for data files."""


def kinds_from_override(text: str) -> dict[str, FileKind]:
    """Read `FILETYPE_MAPPING_OVERRIDES`: a Python literal of extension (or `*`) to class.

    A class is given by its dotted path in the OCS archive library, or by its name alone. No code is loaded: a class
    stands for rules that are known here. Raises Misconfigured, with one sentence for each way to be wrong.
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
        if extension != ANY_EXTENSION and (extension[:1] != "." or not 1 < len(extension) <= LONGEST_EXTENSION):
            raise Misconfigured(
                f"FILETYPE_MAPPING_OVERRIDES has {extension[:40]!r}, but an extension begins with a dot and has at "
                f"most {LONGEST_EXTENSION} characters."
            )
        kinds[extension] = _kind_of(path)
    return kinds


def _kind_of(path: str) -> FileKind:
    module, _, name = path.rpartition(".")
    classes = _CLASSES.get(module)
    if classes is None:
        raise Misconfigured(
            f"FILETYPE_MAPPING_OVERRIDES names the module {module[:200]!r}, which isn't one of the OCS archive "
            "library's; Starferry runs no file classes of other programs."
        )
    if name not in classes:
        raise Misconfigured(
            f"FILETYPE_MAPPING_OVERRIDES names the class {name[:200]!r}, which {module or 'the OCS archive library'} "
            f"doesn't have. These are known: {', '.join(kind.value for kind in FileKind)}."
        )
    kind = classes[name]
    if kind is None:
        raise Misconfigured(f"FILETYPE_MAPPING_OVERRIDES names the class {name!r}, which isn't a kind of DataFile.")
    return kind


def kind_for(extension: str, kinds: Mapping[str, FileKind]) -> FileKind | None:
    """The rules for files with this extension; None when there are none."""
    return kinds.get(extension) or kinds.get(ANY_EXTENSION)


def content_type(kind: FileKind, extension: str) -> str:
    """The media type to keep a file under; '' when nothing tells."""
    if kind.in_tar:
        return "application/x-tar"
    if kind.has_headers:
        return "image/fits"
    return _MEDIA_TYPES.get(extension, "")


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
    if len(extension) > LONGEST_EXTENSION:
        raise InvalidFile(
            f"The file name {name!r} has an extension of more than {LONGEST_EXTENSION} characters; it begins at the "
            "first dot."
        )
    return basename, extension
