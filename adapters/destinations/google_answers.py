"""What Google's two storage services have in common: how an upload is answered, and how a small one is framed."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

import msgspec

QUANTUM = 256 * 1024
"""Bytes. Every chunk but the last has to be a multiple of this."""


class Confirmed(msgspec.Struct, frozen=True):
    """The provider keeps the first `offset` bytes."""

    offset: int


class Finished(msgspec.Struct, frozen=True):
    """The file is there; `resource` is its metadata in the JSON API's form."""

    resource: Mapping[str, Any]


class Taken(msgspec.Struct, frozen=True):
    """Something has the object's name, or the file's id, already, so nothing was written."""


class Lost(msgspec.Struct, frozen=True):
    """The provider doesn't know the upload any more: it expired, was cancelled, or never was."""


Progress = Confirmed | Finished | Taken | Lost


def framed(metadata: Mapping[str, Any], content_type: str) -> tuple[str, bytes, bytes]:
    """For an upload of one request: its Content-Type, and what stands before and after the file's bytes."""
    boundary = secrets.token_hex(16)
    described = json.dumps(metadata).encode()
    before = (
        f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n".encode()
        + described
        + f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\n\r\n".encode()
    )
    return f"multipart/related; boundary={boundary}", before, f"\r\n--{boundary}--\r\n".encode()
