"""Where the archive keeps a file, by site, instrument and night (OCS contract, chapter 4.5)."""

from __future__ import annotations

from datetime import date

from adapters.fits.file_kinds import LONGEST_NAME


def segment(text: str) -> str:
    """The text as one part of a path that can't climb out of its folder or hide in it; blank stays blank."""
    clean = "".join("_" if character in "/\\" or not character.isprintable() else character for character in text)
    if clean and not clean.strip("."):
        clean = "_" * len(clean)
    return clean.encode()[:LONGEST_NAME].decode(errors="ignore")


def frame_path(name: str, *, site: str, instrument: str, day: date | None, level: int) -> str:
    """`<site>/<instrument>/<YYYYMMDD>/<raw|processed>/<name>`; what isn't known is an empty segment."""
    return _joined(site, instrument, _night(day), "raw" if level == 0 else "processed", name)


def mask_path(name: str, *, site: str, instrument: str) -> str:
    """`<site>/<instrument>/bpm/<name>`: a bad-pixel mask serves many nights."""
    return _joined(site, instrument, "bpm", name)


def thumbnail_path(name: str, *, site: str, instrument: str, day: date | None) -> str:
    """`<site>/<instrument>/<YYYYMMDD>/thumbnails/<name>`."""
    return _joined(site, instrument, _night(day), "thumbnails", name)


def _night(day: date | None) -> str:
    return "" if day is None else f"{day:%Y%m%d}".rjust(8, "0")


def _joined(*parts: str) -> str:
    return "/".join(segment(part) for part in parts)
