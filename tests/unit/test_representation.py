"""Parts of files and files that clients have already: RFC 9110, chapters 13 and 14."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from api.representation import Representation, Selection, select

FILE = Representation(
    size=1000, md5="d" * 32, sha256=bytes(32), modified=datetime(2026, 11, 28, 12, 0, 0, 500, tzinfo=UTC)
)
WHOLE = Selection(200, 0, 1000)
TAG = FILE.etag


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=0-0", Selection(206, 0, 1)),
        ("bytes=0-", Selection(206, 0, 1000)),
        ("bytes=-1", Selection(206, 999, 1000)),
        ("bytes=-5000", Selection(206, 0, 1000)),
        ("BYTES= 10-19 ", Selection(206, 10, 20)),
        ("bytes=999-2000", Selection(206, 999, 1000)),
        ("bytes=1000-", Selection(416)),
        ("bytes=-0", Selection(416)),
        ("bytes=1000-,2000-3000", Selection(416)),
        ("bytes=0-1,4-5", WHOLE),
        ("bytes=0-1,4000-", WHOLE),
        ("bytes=5-4", WHOLE),
        ("bytes=-", WHOLE),
        ("bytes=a-b", WHOLE),
        ("bytes=1-2-3", WHOLE),
        ("bytes=", WHOLE),
        ("bytes", WHOLE),
        ("lines=0-1", WHOLE),
        ("bytes=" + "9" * 30 + "-", WHOLE),
        ("bytes=٣-", WHOLE),
        ("", WHOLE),
    ],
)
def test_x08_ranges_are_read_as_the_rfc_says(asked: str, expected: Selection) -> None:
    assert select(FILE, {"range": asked}, "GET") == expected


def test_x08_only_get_has_ranges() -> None:
    assert select(FILE, {"range": "bytes=0-1"}, "HEAD") == WHOLE


def test_x08_an_empty_file_has_no_part() -> None:
    empty = Representation(size=0, md5="", sha256=None, modified=FILE.modified)
    assert select(empty, {"range": "bytes=0-"}, "GET") == Selection(416)
    assert select(empty, {}, "GET") == Selection(200, 0, 0)


@pytest.mark.parametrize(
    ("condition", "served"),
    [
        (TAG, True),
        ('"other"', False),
        (f"W/{TAG}", False),
        ("Sat, 28 Nov 2026 12:00:00 GMT", True),
        ("Sat, 28 Nov 2026 12:00:01 GMT", False),
        ("nonsense", False),
    ],
)
def test_x08_if_range_gives_the_part_only_of_the_same_bytes(condition: str, served: bool) -> None:
    answer = select(FILE, {"range": "bytes=0-9", "if-range": condition}, "GET")
    assert answer == (Selection(206, 0, 10) if served else WHOLE)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-none-match": TAG}, 304),
        ({"if-none-match": f'"x", W/{TAG}'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"x"'}, 200),
        ({"if-none-match": '"x"', "if-modified-since": "Sat, 28 Nov 2026 12:00:00 GMT"}, 200),
        ({"if-modified-since": "Sat, 28 Nov 2026 12:00:00 GMT"}, 304),
        ({"if-modified-since": "Sat, 28 Nov 2026 11:59:59 GMT"}, 200),
        ({"if-modified-since": "yesterday"}, 200),
        ({"if-match": TAG}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": f"W/{TAG}"}, 412),
        ({"if-match": '"x"'}, 412),
        ({"if-unmodified-since": "Sat, 28 Nov 2026 11:59:59 GMT"}, 412),
        ({"if-unmodified-since": "Sat, 28 Nov 2026 12:00:00 GMT"}, 200),
        ({"if-match": TAG, "if-unmodified-since": "Sat, 28 Nov 2026 11:59:59 GMT"}, 200),
    ],
)
def test_x08_conditions_are_judged_in_the_rfcs_order(headers: dict[str, str], status: int) -> None:
    assert select(FILE, headers, "GET").status == status


def test_x08_the_tag_names_the_bytes_by_what_is_known_of_them() -> None:
    def tag(md5: str, sha256: bytes | None) -> str:
        return Representation(size=7, md5=md5, sha256=sha256, modified=FILE.modified).etag

    assert tag("ab" * 16, b"\1" * 32) == f'"{"01" * 32}"'
    assert tag("ab" * 16, None) == f'"{"ab" * 16}"'
    assert tag('no"hex', None) == 'W/"7"'


def test_x08_digests_are_given_as_far_as_they_are_known() -> None:
    assert FILE.headers["Repr-Digest"].startswith("sha-256=:AAAA")
    other = Representation(size=7, md5="not hex", sha256=None, modified=FILE.modified)
    assert "Repr-Digest" not in other.headers
    assert other.headers["Last-Modified"] == "Sat, 28 Nov 2026 12:00:00 GMT"
