"""Reads what the archive needs to know of a file on disk."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from adapters.fits.byte_streams import ByteStream, GzipStream, PlainStream
from adapters.fits.cards import Value, header_values, json_value, missing_keys
from adapters.fits.compressed_images import image_values
from adapters.fits.file_kinds import FileKind, kind_for, name_parts
from adapters.fits.hdus import headers as headers_of
from adapters.fits.public_dates import ProposalTags
from adapters.fits.records import FrameHeaders
from adapters.fits.settings import FitsSettings
from adapters.fits.tar_members import fits_member
from application.ports.frame_reader import Described
from domain.errors import InvalidFile, MissingHeader, RetryLater


class FitsReader:
    """The port FrameReader for FITS. Holds one header at a time in memory, never pixels. Safe to share."""

    def __init__(self, settings: FitsSettings | None = None, *, proposal_tags: ProposalTags | None = None) -> None:
        self._settings = settings or FitsSettings()
        self._proposal_tags = proposal_tags

    def describe(self, file: Path, filename: str, metadata: Mapping[str, Any] | None = None) -> Described:
        """Check the whole structure of `file` and read its record.

        `metadata` is the caller's, by header key; it wins over the file's headers. The header is that of the first HDU
        which has, together with `metadata`, all required headers. Of a file without headers (PDF, JPEG) the metadata
        say all.
        Raises NotFits, TruncatedFile, MissingHeader, AbsurdSize, ExpandsTooMuch, InvalidFile; RetryLater when the
        disk fails.
        """
        basename, extension = name_parts(filename)
        kind = kind_for(extension, self._settings.file_kinds)
        if kind is None:
            raise InvalidFile(f"The file extension {extension} of {basename} is not a currently supported file type.")
        given = {key: json_value(value) for key, value in (metadata or {}).items()}
        if kind is FileKind.THUMBNAIL and self._settings.thumbnail_frame_basename_key not in given:
            kind = FileKind.METADATA  # a picture of no frame is one by itself
        values = self._values(file, basename + extension, kind, given)
        frame = FrameHeaders(values, basename=basename, extension=extension, kind=kind, settings=self._settings)
        return frame.described(self._proposal_tags)

    def _values(self, file: Path, name: str, kind: FileKind, given: dict[str, Value]) -> dict[str, Value]:
        if not kind.has_headers:
            missing = [key for key in self._settings.required_for(kind) if key not in given]
            if missing:
                raise _lacks(name, missing)
            return given
        try:
            status = file.stat()
            if not stat.S_ISREG(status.st_mode):
                raise InvalidFile(f"{name} isn't a regular file.")
            with file.open("rb") as opened:
                return self._read(opened, status.st_size, name, kind, given)
        except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
            raise InvalidFile(f"{name} can't be read: {error.strerror}.") from error
        except OSError as error:
            raise RetryLater(f"{name} can't be read now: {error.strerror}.") from error

    def _read(
        self, opened: BinaryIO, size: int, name: str, kind: FileKind, given: dict[str, Value]
    ) -> dict[str, Value]:
        most = self._settings.max_frame_bytes
        stream: ByteStream = PlainStream(opened, size)
        if name.endswith(".gz"):
            stream = GzipStream(opened, size, name, most)
        if not kind.in_tar:
            return self._chosen(stream, name, given)
        member = fits_member(stream, name, lco=kind is FileKind.LCO_TAR_WITH_FITS)
        values = self._chosen(member, name, given)
        stream.skip(most + 1)  # the checksum of gzip data stands at its end
        return values

    def _chosen(self, stream: ByteStream, name: str, given: dict[str, Value]) -> dict[str, Value]:
        """The values of the first HDU with all required headers, after every HDU was found whole."""
        required = self._settings.required_headers
        chosen: dict[str, Value] | None = None
        lacking = list(required)
        for header in headers_of(stream, name, max_bytes=self._settings.max_frame_bytes):
            if chosen is not None:
                continue
            missing = missing_keys(header, required, given)
            if not missing:
                values = header_values(header, without=self._settings.header_blacklist)
                missing = [key for key in required if key not in values and key not in given]
                if not missing:
                    chosen = {**image_values(values), **given}
            lacking = min(lacking, missing, key=len)
        if chosen is None:
            raise _lacks(name, lacking)
        return chosen


def _lacks(name: str, keys: list[str]) -> MissingHeader:
    which = "header" if len(keys) == 1 else "headers"
    return MissingHeader(f"{name} lacks the required {which} {', '.join(keys)}.", field=keys[0])
