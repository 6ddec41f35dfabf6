"""`multipart/related` bodies of two parts, as Google's services take small files: metadata, then bytes."""

from __future__ import annotations

from email.message import Message
from email.parser import BytesParser

MOST = 64 << 20


class Malformed(Exception):
    """The body isn't one; the sentence says why."""


def boundary_of(headers: Message) -> bytes:
    """What separates the parts. Raises Malformed."""
    boundary = headers.get_boundary()
    if headers.get_content_type() != "multipart/related" or not boundary:
        raise Malformed("A multipart/related body is expected.")
    return b"--" + boundary.encode()


def two_parts(boundary: bytes, body: bytes) -> tuple[bytes, Message, bytes]:
    """The first part's content, and the second one's headers and content. The bytes are looked through only where the
    boundary must be, not line by line. Raises Malformed."""
    parts = body.split(boundary, 2)
    end = parts[-1].rfind(boundary + b"--")
    if len(parts) != 3 or end < 0:
        raise Malformed("The multipart body is malformed.")
    headers, content = _part(parts[2][:end])
    return _part(parts[1])[1], headers, content


def _part(raw: bytes) -> tuple[Message, bytes]:
    """A part's headers, of which there may be none, and its content; `raw` begins with the boundary's line end."""
    head, _, content = raw.partition(b"\r\n\r\n")
    return BytesParser().parsebytes(head.removeprefix(b"\r\n") + b"\r\n\r\n"), content.removesuffix(b"\r\n")
