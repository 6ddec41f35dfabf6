"""What an S3-compatible service says of an object's bytes, and what to do when it says nothing that can be compared."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import google_crc32c

from application.ports.destination import Upload
from domain.errors import RetryLater

_BLOCK = 1 << 20
_MD5 = re.compile(r"[0-9a-f]{32}")


def etag_of(answer: Mapping[str, Any]) -> str:
    """The ETag without its quotes; empty when there is none, which no S3 service's answer about an object lacks."""
    return str(answer.get("ETag", "")).strip('"')


def equal_hashes(answer: Mapping[str, Any], upload: Upload) -> dict[str, str]:
    """Hashes of the whole object in the answer to a HEAD or PUT that equal ours, under the names of Hashes' fields.

    Others prove nothing. A CRC-32C may be one of the parts' checksums. An ETag is the MD5 of an object that came in one
    request, unless it is encrypted with a key of its owner's, or the service has its own ways.
    """
    crc32c = base64.b64encode(bytes.fromhex(upload.hashes.crc32c)).decode()
    hashes = {}
    if answer.get("ChecksumCRC32C") == crc32c and answer.get("ChecksumType") != "COMPOSITE":
        hashes["crc32c"] = upload.hashes.crc32c
    if etag_of(answer).lower() == upload.hashes.md5:
        hashes["md5"] = upload.hashes.md5
    return hashes


def claimed_md5(answer: Mapping[str, Any]) -> dict[str, str]:
    """An ETag that looks like an MD5: good enough for an object whose size differs anyway."""
    etag = etag_of(answer).lower()
    return {"md5": etag} if _MD5.fullmatch(etag) else {}


def read_back(client: Any, where: Mapping[str, str], etag: str, size: int) -> dict[str, str]:
    """Hashes of the bytes that the service gives back, `size` of them. Raises what boto3 raises, also when another
    object is there, and RetryLater when more bytes come."""
    md5, crc32c = hashlib.md5(usedforsecurity=False), 0
    body = client.get_object(**where, IfMatch=f'"{etag}"')["Body"]
    try:
        while block := body.read(_BLOCK):
            size -= len(block)
            if size < 0:
                raise RetryLater("The S3 service gave back more bytes than the file has.")
            md5.update(block)
            crc32c = google_crc32c.extend(crc32c, block)
    finally:
        body.close()
    return {"md5": md5.hexdigest(), "crc32c": f"{crc32c:08x}"}


def etag_of_parts(etags: Iterable[str]) -> str:
    """The ETag of an object that came in parts: the MD5 of the parts' MD5s, and their number."""
    digests = [bytes.fromhex(etag) if _MD5.fullmatch(etag) else b"" for etag in etags]
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"


def joined_crc32c(first: int, second: int, length: int) -> int:
    """The CRC-32C of two pieces one after the other; `length` is the second's, in bytes.

    The register is linear: running it over zeros in place of the second piece, and taking out what zeros alone would
    do, leaves the second's own CRC to be added.
    """
    zeros = bytes(length)
    moved: int = google_crc32c.extend(first, zeros) ^ google_crc32c.extend(0, zeros) ^ second
    return moved
