"""What the Google Drive emulator has for other clients than ours: searches, selections of fields, pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from googleapiclient.errors import HttpError

from tests.contract.google_drive_harness import DriveHarness

NAMES = ["it's a [test]", "b", "c"]


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[DriveHarness]:
    made = DriveHarness(tmp_path)
    for name in NAMES:
        made.place(f"/dir/{name}", name.encode())
    yield made
    made.close()


@pytest.fixture
def drive(harness: DriveHarness) -> Any:
    return harness.new_account().drive.files()


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("name = 'b'", ["b"]),
        ("name='it\\'s a [test]'", ["it's a [test]"]),
        ("trashed=false and (name='b' or name='c')", ["b", "c"]),
        ("name='b' or name='c' and name='c'", ["c"]),
        ("not (name='b' or name='c') and mimeType!='application/vnd.google-apps.folder'", ["it's a [test]"]),
        ("'root' in parents", ["dir"]),
        ("trashed = true", []),
        ("", ["dir", *NAMES]),
    ],
)
def test_searches_are_read_from_left_to_right(drive: Any, query: str, names: list[str]) -> None:
    assert [one["name"] for one in drive.list(q=query).execute()["files"]] == names


@pytest.mark.parametrize("query", ["name", "(name='b'", "name='b')", "name='b' and", "and", "()", "size > 1"])
def test_what_is_no_search_is_refused(drive: Any, query: str) -> None:
    with pytest.raises(HttpError) as raised:
        drive.list(q=query).execute()
    assert raised.value.status_code == 400


def test_lists_come_in_pages(drive: Any) -> None:
    request, pages = drive.list(pageSize=3, fields="files(name),nextPageToken"), []
    while request is not None:
        answer = request.execute()
        pages.append([one["name"] for one in answer["files"]])
        request = drive.list_next(request, answer)
    assert pages == [["dir", "it's a [test]", "b"], ["c"]]


@pytest.mark.parametrize(
    ("fields", "selected"),
    [
        ("files(name)", {"files": [{"name": "b"}]}),
        ("files/name, files/size,incompleteSearch", {"files": [{"name": "b", "size": "1"}], "incompleteSearch": False}),
        ("kind,files(name,size)", {"kind": "drive#fileList", "files": [{"name": "b", "size": "1"}]}),
    ],
)
def test_a_reply_has_the_fields_that_were_asked_for(drive: Any, fields: str, selected: dict[str, Any]) -> None:
    assert drive.list(q="name='b'", fields=fields).execute() == selected


@pytest.mark.parametrize("fields", ["files(name", "files(colour)", "files(name))", "nothing", "files/", ",kind"])
def test_fields_that_there_are_none_of_are_refused(drive: Any, fields: str) -> None:
    with pytest.raises(HttpError) as raised:
        drive.list(fields=fields).execute()
    assert raised.value.status_code == 400


def test_a_file_has_the_time_that_its_owner_gave_it(drive: Any) -> None:
    given = {"name": "d", "modifiedTime": "2024-01-02T03:04:05.678Z"}
    made = drive.create(body=given, fields="modifiedTime,createdTime").execute()
    assert made["modifiedTime"] == given["modifiedTime"] != made["createdTime"]
