"""An endpoint that answers without end takes no memory: it may be anybody's."""

from __future__ import annotations

import io
from typing import Any

import pytest
from urllib3.exceptions import ProtocolError

from adapters.destinations.s3_account import LONGEST_ANSWER, _bounded
from adapters.destinations.s3_contents import read_back
from domain.errors import RetryLater

MIB = 1 << 20


def test_an_answer_ends_where_no_answer_of_s3_is_longer() -> None:
    taken: list[int] = []
    answer = _bounded(lambda: iter(lambda: bytes(MIB), b""))
    with pytest.raises(ProtocolError):
        taken.extend(len(piece) for piece in answer)
    assert sum(taken) <= LONGEST_ANSWER


def test_no_more_is_read_back_than_the_file_has() -> None:
    class Client:
        def get_object(self, **_: Any) -> dict[str, Any]:
            return {"Body": io.BytesIO(bytes(3 * MIB))}

    with pytest.raises(RetryLater, match="more bytes"):
        read_back(Client(), {}, "etag", 2 * MIB)
    assert read_back(Client(), {}, "etag", 3 * MIB)["md5"] == "d1dd210d6b1312cb342b56d02bd5e651"
