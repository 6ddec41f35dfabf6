"""When a copy counts as ours: equal size, and at least one checksum that the destination itself computed."""

from __future__ import annotations

from collections.abc import Mapping

from domain.errors import ChecksumMismatch
from domain.hashes import Hashes

STRENGTH = ("sha256", "dropbox", "md5", "crc32c")
"""Strongest first: which comparison is named in the transfer's history."""


def difference(known: Mapping[str, str], size: int, their_size: int, theirs: Mapping[str, str]) -> str:
    """What has changed of a copy since it was delivered, as a sentence; empty when nothing has. `known` are hashes of
    the file, under the names of Hashes' fields. Raises ChecksumMismatch with nothing to compare."""
    if their_size != size:
        return f"The copy has {their_size} bytes, the file {size}."
    comparable = [name for name in STRENGTH if theirs.get(name) and known.get(name)]
    if not comparable:
        raise ChecksumMismatch("The destination gave no checksum to compare.")
    differing = next((name for name in comparable if theirs[name].lower() != known[name].lower()), "")
    return f"The copy's {differing} differs from the file's." if differing else ""


def verify(md5: str, size: int, ours: Hashes, their_size: int, theirs: Mapping[str, str]) -> dict[str, str]:
    """The hashes that were compared and are equal. Raises ChecksumMismatch on any difference, or with nothing to
    compare. `md5` is the archive's own record of the version."""
    if their_size != size:
        raise ChecksumMismatch(f"The copy has {their_size} bytes, the file {size}.")
    known = {"md5": md5, "sha256": ours.sha256, "crc32c": ours.crc32c, "dropbox": ours.dropbox}
    compared = {name: theirs[name].lower() for name in STRENGTH if theirs.get(name)}
    if not compared:
        raise ChecksumMismatch("The destination gave no checksum to compare.")
    for name, value in compared.items():
        if value != known[name].lower():
            raise ChecksumMismatch(f"The copy's {name} differs from the file's.")
    return compared
