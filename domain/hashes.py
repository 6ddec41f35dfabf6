"""The checksums of one set of bytes, in the forms that providers compare."""

from __future__ import annotations

import msgspec


class Hashes(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """All lower-case hex. `dropbox` is the Dropbox content hash: SHA-256 over the SHA-256s of 4 MiB blocks.

    `crc32c` is the Castagnoli CRC as 8 hex digits, big-endian (Google's base64 form is these four bytes).
    """

    md5: str
    sha256: str
    crc32c: str
    dropbox: str
