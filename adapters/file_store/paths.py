"""Which paths a store accepts, and where other bytes of the same name go."""

from __future__ import annotations

from collections.abc import Iterator

from domain.errors import InvalidInput
from domain.frame_record import split_name

INCOMING = ".incoming"
"""The folder below a directory store's root where uploads arrive; no frame can be kept in it."""

LONGEST_PATH = 1024
"""Bytes of UTF-8 that an S3 key may have."""

LONGEST_NAME = 255
"""Bytes that a name may have on the file systems in use."""


def checked(path: str) -> str:
    """`path` in the form in which it is stored: relative, without empty segments (`a//b` → `a/b`).

    Raises InvalidInput for a path that leaves the store, meets its working folder or is too long.
    """
    try:
        length = len(path.encode())
    except UnicodeEncodeError:
        raise InvalidInput("The path holds characters that no file name can have.", field="path") from None
    if not path or path.startswith("/") or path.endswith("/"):
        raise InvalidInput("The path must be relative and end with a file name.", field="path")
    if any(ord(letter) < 32 or letter == "\x7f" for letter in path):
        raise InvalidInput("The path holds control characters.", field="path")
    segments = [segment for segment in path.split("/") if segment]
    if "." in segments or ".." in segments or segments[0] == INCOMING:
        raise InvalidInput("The path must stay inside the file store.", field="path")
    if length > LONGEST_PATH or any(len(segment.encode()) > LONGEST_NAME for segment in segments):
        raise InvalidInput("The path is too long for the file store.", field="path")
    return "/".join(segments)


def candidates(path: str, md5: str) -> Iterator[str]:
    """Where bytes meant for `path` may go, in this order, when other bytes are there already."""
    folder, slash, name = path.rpartition("/")
    basename, extension = split_name(name)
    yield path
    for mark in (md5[:8], md5):
        yield checked(f"{folder}{slash}{basename}~{mark}{extension}")
