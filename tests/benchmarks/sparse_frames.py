"""Frames of many bytes that take no room: sparse files in the directory store, recorded as the OCS ingester does."""

from __future__ import annotations

import io
import secrets
from pathlib import Path

import httpx

from adapters.file_store import identity
from tests.records import record

MARKS = 16 * 1024 * 1024
"""Every so many bytes stands a mark, so that no two places of a file are alike."""


def record_sparse_frame(client: httpx.Client, store: Path, size: int) -> int:
    """Record a frame whose file has `size` bytes; returns its id. `client` is a superuser's."""
    key = secrets.token_hex(16)
    body = record(version_set=[{"key": key, "md5": key, "extension": ".fits"}])
    file = store / "tst" / "fa01" / "20240101" / "raw" / f"{body['basename']}.fits"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as opened:
        opened.truncate(size)
        for place in range(0, size - 8, MARKS):
            opened.seek(place, io.SEEK_SET)
            opened.write(place.to_bytes(8, "big"))
        opened.flush()
        identity.remember(opened.fileno(), key)
    answer = client.post("/frames/", json=body)
    answer.raise_for_status()
    return int(answer.json()["id"])


def read_through(client: httpx.Client, frames: list[int]) -> int:
    """Download a zip of these frames and forget it; how many bytes it had."""
    got = 0
    with client.stream("POST", "/frames/zip/", json={"frame_ids": frames}) as answer:
        answer.raise_for_status()
        for piece in answer.iter_raw(1 << 20):
            got += len(piece)
    return got
