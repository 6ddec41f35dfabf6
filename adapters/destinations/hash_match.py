"""Is what arrived what was sent? One answer for all providers."""

from __future__ import annotations

from application.ports.destination import Arrived, Upload
from domain.errors import ChecksumMismatch, GiveUp

STRONGEST_FIRST = ("sha256", "dropbox", "md5", "crc32c")
"""Names of Hashes' fields. Dropbox's hash is built of SHA-256s; CRC-32C guards against accidents only."""


def verify(upload: Upload, arrived: Arrived) -> str:
    """The name of the strongest hash that the provider computed and that equals ours.

    Every hash that can be compared has to be equal, and so has the size in bytes.

    Raises ChecksumMismatch when one differs, or when the provider gave none that we know.
    """
    if arrived.size != upload.size:
        raise ChecksumMismatch(f"The destination holds {arrived.size} bytes of a file that has {upload.size}.")
    comparable = [name for name in STRONGEST_FIRST if arrived.hashes.get(name) and getattr(upload.hashes, name)]
    if not comparable:
        raise ChecksumMismatch("The destination gave no checksum that could be compared with ours.")
    for name in comparable:
        if arrived.hashes[name].lower() != getattr(upload.hashes, name).lower():
            raise ChecksumMismatch(f"The destination's {name} checksum differs from ours.")
    return comparable[0]


def settled(upload: Upload, arrived: Arrived) -> Arrived:
    """`arrived`, found at the path where the upload should appear, when it is the same file: then it is delivered.
    Whether we have made it, in an attempt of which we didn't hear, can't be told.

    Raises GiveUp when it is another one, which is never replaced.
    """
    try:
        verify(upload, arrived)
    except ChecksumMismatch:
        raise GiveUp(f"Another file is already at {upload.path}; it was left as it is.") from None
    return arrived
