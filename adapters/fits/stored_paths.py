"""Where another program, following the OCS archive's rules, has stored the file of a record."""

from __future__ import annotations

from adapters.fits import lco_names
from adapters.fits.archive_paths import frame_path, mask_path, thumbnail_path
from domain.frame_record import FrameRecord


def stored_path(record: FrameRecord, extension: str) -> str:
    """The path below the file store's root; `extension` has its dot."""
    name = record.basename + extension
    if extension == ".fits.fz" and (record.configuration_type == "BPM" or lco_names.is_mask(record.basename)):
        return mask_path(name, site=record.site_id, instrument=record.instrument_id)
    return frame_path(
        name,
        site=record.site_id,
        instrument=record.instrument_id,
        day=record.observation_day,
        level=record.reduction_level,
    )


def stored_thumbnail_path(record: FrameRecord, filename: str) -> str:
    """The same for a thumbnail, whose record is of the frame's night and instrument."""
    return thumbnail_path(filename, site=record.site_id, instrument=record.instrument_id, day=record.observation_day)
