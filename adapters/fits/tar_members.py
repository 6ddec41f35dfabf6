"""Finds the FITS member of a tar file that arrives as a stream (POSIX.1-2001 ustar and pax, GNU long names).

The standard library's reader keeps whole extended headers in memory, whatever they claim; here they are bounded.
"""

from __future__ import annotations

import re

from adapters.fits.byte_streams import ByteStream
from domain.errors import AbsurdSize, InvalidFile, NotFits, TruncatedFile

BLOCK = 512
MOST_MEMBERS = 10_000
LONGEST_EXTENSION = 1 << 20
"""Bytes of a member's extended header; real ones have a few hundred."""

_LCO_MEMBER = re.compile(r"e(?:00|90|91)\.fits")
_PAX = re.compile(rb"\d+ (path|size)=([^\n]*)\n")


class MemberStream:
    """The bytes of one member, ending where the member ends."""

    def __init__(self, outer: ByteStream, size: int) -> None:
        self._outer = outer
        self._left = size

    def read(self, count: int) -> bytes:
        data = self._outer.read(min(count, self._left))
        self._left -= len(data)
        return data

    def skip(self, count: int) -> int:
        skipped = self._outer.skip(min(count, self._left))
        self._left -= skipped
        return skipped


def fits_member(outer: ByteStream, filename: str, *, lco: bool) -> MemberStream:
    """The first member whose name contains `.fits`, or for LCO tar files `e00.fits`, `e90.fits` or `e91.fits`.

    Raises InvalidFile when there is none, NotFits, TruncatedFile or AbsurdSize when the tar file isn't sound.
    """
    extended: dict[str, str] = {}
    for _ in range(MOST_MEMBERS):
        block = outer.read(BLOCK)
        if not block.strip(b"\0"):
            wanted = "named …e00.fits, …e90.fits or …e91.fits" if lco else "whose name contains .fits"
            raise InvalidFile(f"{filename} holds no file {wanted}.")
        if len(block) < BLOCK:
            raise TruncatedFile(f"{filename} is cut short: it ends within the header of a member.")
        if not _checksum_holds(block):
            raise NotFits(f"{filename} isn't a tar file inside its gzip data, or it is damaged.")
        size = int(extended.get("size", "") or _number(block[124:136], filename))
        match block[156:157]:
            case b"x" | b"L" as kind:
                content = _extension(outer, size, filename)
                if kind == b"L":
                    extended["path"] = content.rstrip(b"\0").decode(errors="replace")
                else:
                    extended.update(
                        (key.decode(), text.decode(errors="replace")) for key, text in _PAX.findall(content)
                    )
                    if not re.fullmatch(r"\d{1,18}", extended.get("size", "0"), re.ASCII):
                        raise NotFits(f"{filename} has a damaged extended header.")
                continue
            case b"0" | b"\0" | b"7":
                name = extended.get("path") or _name(block)
                if _LCO_MEMBER.search(name) if lco else ".fits" in name:
                    return MemberStream(outer, size)
        extended = {}
        outer.skip(-(-size // BLOCK) * BLOCK)
    raise AbsurdSize(f"{filename} has more than {MOST_MEMBERS:,} members before a FITS file.")


def _extension(outer: ByteStream, size: int, filename: str) -> bytes:
    if size > LONGEST_EXTENSION:
        raise AbsurdSize(f"{filename} claims an extended header of {size:,} bytes; {LONGEST_EXTENSION:,} is the most.")
    content = outer.read(size)
    outer.skip(-size % BLOCK)
    return content


def _name(block: bytes) -> str:
    name, prefix = (field.split(b"\0", 1)[0].decode(errors="replace") for field in (block[:100], block[345:500]))
    return f"{prefix}/{name}" if prefix and block[257:262] == b"ustar" else name


def _number(field: bytes, filename: str) -> int:
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    digits = field.strip(b" \0")
    if not re.fullmatch(rb"[0-7]*", digits):
        raise NotFits(f"{filename} has a damaged member header.")
    return int(digits or b"0", 8)


def _checksum_holds(block: bytes) -> bool:
    claimed = block[148:156].strip(b" \0")
    if not re.fullmatch(rb"[0-7]+", claimed):
        return False
    return int(claimed, 8) == sum(block) - sum(block[148:156]) + 8 * 0x20
