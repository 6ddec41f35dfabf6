"""A reader of an S3 object whose connection breaks."""

from __future__ import annotations

import io
import os
from typing import Any, cast

import pytest
from botocore.response import StreamingBody

from adapters.file_store.s3_reader import FIRST_RANGE, S3Reader
from domain.errors import RetryLater

DATA = os.urandom(3 * FIRST_RANGE)


class BreakingClient:
    """Sends only `sent` bytes of every range, then breaks the connection; a whole range when `sent` is None."""

    def __init__(self, sent: list[int | None]) -> None:
        self.sent = sent
        self.ranges: list[tuple[int, int]] = []

    def get_object(self, **request: Any) -> dict[str, Any]:
        start, end = (int(number) for number in request["Range"].removeprefix("bytes=").split("-"))
        self.ranges.append((start, end + 1))
        sent = self.sent.pop(0) if self.sent else None
        whole = DATA[start : end + 1]
        return {"Body": StreamingBody(cast(Any, io.BytesIO(whole if sent is None else whole[:sent])), len(whole))}


def reader_of(client: BreakingClient) -> io.BufferedReader:
    return io.BufferedReader(S3Reader(cast(Any, client), "bucket", "x.fits", "v1", len(DATA)), 64 * 1024)


def test_a_broken_connection_is_taken_up_where_it_broke() -> None:
    client = BreakingClient([100_000, 0, None])
    assert reader_of(client).read() == DATA
    assert client.ranges[1][0] == 100_000


def test_a_service_that_never_sends_gives_a_fault_and_not_a_short_file() -> None:
    with pytest.raises(RetryLater):
        reader_of(BreakingClient([0] * 50)).read()


def test_ranges_grow_while_a_file_is_read_through_and_begin_small_after_a_seek() -> None:
    client = BreakingClient([])
    reader = reader_of(client)
    reader.read()
    assert client.ranges == [(0, FIRST_RANGE), (FIRST_RANGE, 3 * FIRST_RANGE)]
    reader.seek(10)
    reader.read(10)
    assert client.ranges[-1] == (10, 10 + FIRST_RANGE)
