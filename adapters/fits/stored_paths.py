"""Where the file of a record is kept by the OCS archive's rules, which other programs that store files follow too."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from adapters.fits import lco_names
from adapters.fits.archive_paths import frame_path, mask_path, thumbnail_path
from adapters.fits.file_kinds import FILE_KINDS, FileKind, kind_for
from domain.frame_record import FrameRecord


class _Extension(msgspec.Struct):
    EXTNAME: msgspec.Raw = msgspec.Raw(b"")


_BPM = b'"BPM"'
_EXTENSION = msgspec.json.Decoder(_Extension)
_NO_HEADERS = msgspec.Raw(b"{}")


def stored_path(
    record: FrameRecord,
    extension: str,
    headers: msgspec.Raw = _NO_HEADERS,
    kinds: Mapping[str, FileKind] = FILE_KINDS,
) -> str:
    """The path below the file store's root where another program has put the file of a record.

    `extension` has its dot; `headers` is the record's header as a JSON object; what isn't known is an empty segment.
    """
    kind = kind_for(extension, kinds) or FileKind.METADATA
    named = kind.follows_lco_names and _BPM in bytes(headers)  # few headers are read for it
    is_mask = named and bytes(_EXTENSION.decode(headers).EXTNAME) == _BPM
    return path_of(record, extension, kind, extension_name="BPM" if is_mask else "")


def path_of(record: FrameRecord, extension: str, kind: FileKind, *, extension_name: str) -> str:
    """The path of a file of this kind; `extension_name` is its header EXTNAME."""
    name, site, instrument = record.basename + extension, record.site_id, record.instrument_id
    if kind is FileKind.THUMBNAIL:
        return thumbnail_path(name, site=site, instrument=instrument, day=record.observation_day)
    is_mask = "BPM" in (record.configuration_type, extension_name) or lco_names.is_mask(record.basename)
    if kind.follows_lco_names and is_mask:
        return mask_path(name, site=site, instrument=instrument)
    return frame_path(name, site=site, instrument=instrument, day=record.observation_day, level=record.reduction_level)


def stored_thumbnail_path(record: FrameRecord, filename: str) -> str:
    """The same for a thumbnail, whose record is of the frame's night and instrument."""
    return thumbnail_path(filename, site=record.site_id, instrument=record.instrument_id, day=record.observation_day)
