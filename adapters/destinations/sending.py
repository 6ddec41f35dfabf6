"""How requests go out: bodies piece by piece, and with no credentials but ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests

PIECE = 256 * 1024


class Pieces:
    """A body that is sent piece by piece without being copied, and again from its start after a 401.

    A socket's time-out bounds one send, so a chunk sent whole would fail on any line slower than chunk ÷ time-out.
    """

    def __init__(self, *data: bytes) -> None:
        self._data = [memoryview(one) for one in data]

    def __len__(self) -> int:
        return sum(map(len, self._data))

    def __iter__(self) -> Iterator[memoryview]:
        for one in self._data:
            for start in range(0, len(one), PIECE):
                yield one[start : start + PIECE]


class PieceByPiece(requests.adapters.HTTPAdapter):
    """For an SDK that insists on bytes."""

    def send(self, request: requests.PreparedRequest, *args: Any, **named: Any) -> requests.Response:
        """See requests."""
        if isinstance(request.body, bytes) and len(request.body) > PIECE:
            request.body = Pieces(request.body)  # type: ignore[assignment]  # it takes what can be iterated over
        return super().send(request, *args, **named)


def as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """An `auth` for requests that have their header: without one, requests would put in what the machine's .netrc has
    for the host, or for all."""
    return request
