"""What the Dropbox emulator has for other clients than ours, judged by the SDK that it stands in for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from dropbox import files

from adapters.destinations.dropbox_account import DropboxAccount
from tests.contract.dropbox_harness import APP, SECRET, DropboxHarness


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[DropboxHarness]:
    made = DropboxHarness(tmp_path)
    yield made
    made.close()


@pytest.fixture
def account(harness: DropboxHarness) -> Iterator[DropboxAccount]:
    made = DropboxAccount(APP, SECRET, harness.refresh_token, harness.dropbox.url)
    yield made
    made.close()


def begun(account: DropboxAccount, data: bytes, *, close: bool) -> files.UploadSessionCursor:
    started = account.call(lambda dropbox: dropbox.files_upload_session_start(data, close=close))
    return files.UploadSessionCursor(started.session_id, len(data))


def test_of_a_batch_each_upload_ends_by_itself(harness: DropboxHarness, account: DropboxAccount) -> None:
    harness.place("/taken", b"other")
    cursors = [begun(account, b"a", close=True), begun(account, b"b", close=True), begun(account, b"c", close=False)]
    entries = [
        files.UploadSessionFinishArg(cursor, files.CommitInfo(path))
        for cursor, path in zip(cursors, ("/α.fits", "/taken", "/open"), strict=True)
    ]
    done = account.call(lambda dropbox: dropbox.files_upload_session_finish_batch_v2(entries)).entries
    assert done[0].get_success().path_display == "/α.fits"
    assert done[1].get_failure().get_path().get_conflict().is_file()
    assert done[2].get_failure().get_lookup_failed().is_not_closed()
    assert harness.objects() == {"/α.fits": b"a", "/taken": b"other"}


def test_a_file_keeps_its_id_and_its_owner_s_time_and_is_found_by_the_id(account: DropboxAccount) -> None:
    def upload(data: bytes) -> Any:
        mode, when = files.WriteMode.overwrite, datetime(2024, 1, 2, 3, 4, 5)  # naive, as the SDK wants it
        return account.call(lambda dropbox: dropbox.files_upload(data, "/M31/a.fits", mode, client_modified=when))

    first, second = upload(b"1"), upload(b"2")
    assert first.id == second.id
    assert first.rev != second.rev
    assert second.client_modified == datetime(2024, 1, 2, 3, 4, 5)
    found, answer = account.call(lambda dropbox: dropbox.files_download(first.id))
    assert (found.path_display, answer.content) == ("/M31/a.fits", b"2")
    listed = account.call(lambda dropbox: dropbox.files_list_folder("/M31")).entries
    assert [one.id for one in listed] == [first.id]
