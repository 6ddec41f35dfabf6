"""What every file store promises, asked of a directory and of a versioned bucket over real HTTP."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.clock import SystemClock
from adapters.file_store.directory import DirectoryStore
from adapters.file_store.s3 import S3Store
from application.ports.file_store import FileStore, Staged, Stored
from domain.errors import InvalidInput, NotFound
from tests.s3_emulator import S3Emulator, running_s3


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Emulator]:
    with running_s3() as emulator:
        yield emulator


@pytest.fixture(params=["directory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    if request.param == "directory":
        return DirectoryStore(tmp_path / "files", clock=SystemClock())
    emulator: S3Emulator = request.getfixturevalue("s3")
    return S3Store(emulator.settings(emulator.new_bucket()), spool=tmp_path / "files", clock=SystemClock())


@contextlib.contextmanager
def staged(store: FileStore, data: bytes, piece: int = 100_000) -> Iterator[Staged]:
    with store.staging() as staging:
        for start in range(0, len(data), piece):
            staging.write(data[start : start + piece])
        yield staging.finish()


def keep(store: FileStore, data: bytes, path: str = "tst/en01/20260101/raw/x.fits") -> Stored:
    with staged(store, data) as arrived:
        return store.keep(arrived, path, filename=path.rpartition("/")[2])


def read(store: FileStore, stored: Stored) -> bytes:
    with store.open(stored.path, stored.key) as reader:
        return reader.read()


def local_files(tmp_path: Path) -> list[str]:
    return [entry.name for entry in tmp_path.rglob("*") if entry.is_file() and entry.name.endswith(".incoming")]


def test_h03_kept_bytes_can_be_read_back_with_their_size(store: FileStore) -> None:
    data = os.urandom(300_001)
    stored = keep(store, data)
    assert read(store, stored) == data
    assert store.size(stored.path, stored.key) == len(data)


def test_h07_size_bytes_and_ranges_are_those_of_the_version_asked_for_not_of_the_newest(store: FileStore) -> None:
    versions = {keep(store, data): data for data in (b"first", b"the second one", b"3")}
    for stored, data in versions.items():
        assert store.size(stored.path, stored.key) == len(data)
        with store.open(stored.path, stored.key) as reader:
            assert reader.seek(0, os.SEEK_END) == len(data)
            reader.seek(2)
            assert reader.read() == data[2:]


def test_an_empty_file_can_be_kept(store: FileStore) -> None:
    stored = keep(store, b"")
    assert read(store, stored) == b""
    assert store.size(stored.path, stored.key) == 0


def test_staged_bytes_are_on_disk_hashed_and_measured(store: FileStore) -> None:
    data = os.urandom(250_000)
    with staged(store, data) as arrived:
        assert arrived.file.read_bytes() == data
        assert arrived.size == len(data)
        assert arrived.hashes.md5 == hashlib.md5(data).hexdigest()
        assert arrived.hashes.sha256 == hashlib.sha256(data).hexdigest()


def test_staged_bytes_stay_readable_after_they_were_kept(store: FileStore) -> None:
    with staged(store, b"still here") as arrived:
        store.keep(arrived, "a/x.fits", filename="x.fits")
        assert arrived.file.read_bytes() == b"still here"


def test_what_was_not_kept_is_removed_when_the_staging_ends(store: FileStore, tmp_path: Path) -> None:
    with staged(store, b"bytes"):
        assert len(local_files(tmp_path)) == 1
    assert local_files(tmp_path) == []


def test_what_was_not_kept_is_removed_when_the_upload_fails(store: FileStore, tmp_path: Path) -> None:
    def interrupted() -> None:
        with store.staging() as staging:
            staging.write(b"half of it")
            raise ConnectionResetError("the client went away")

    with pytest.raises(ConnectionResetError):
        interrupted()
    assert local_files(tmp_path) == []


def test_keeping_the_same_bytes_at_the_same_path_gives_the_same_answer(store: FileStore) -> None:
    first = keep(store, b"the same bytes")
    assert keep(store, b"the same bytes") == first


def test_the_same_bytes_meet_their_first_answer_after_others_came_to_the_path(store: FileStore) -> None:
    first = keep(store, b"bytes one")
    second = keep(store, b"bytes two")
    assert keep(store, b"bytes one") == first
    assert keep(store, b"bytes two") == second


def test_h07_other_bytes_at_a_path_never_replace_the_ones_there(store: FileStore) -> None:
    first, second = keep(store, b"version one"), keep(store, b"version two, longer")
    assert first != second
    assert read(store, first) == b"version one"
    assert read(store, second) == b"version two, longer"
    assert store.size(first.path, first.key) == len(b"version one")


def test_h08_deleting_a_version_leaves_the_other_ones(store: FileStore) -> None:
    first, second = keep(store, b"version one"), keep(store, b"version two")
    store.delete(first.path, first.key)
    with pytest.raises(NotFound):
        store.open(first.path, first.key)
    assert read(store, second) == b"version two"


def test_deleting_twice_is_no_error(store: FileStore) -> None:
    stored = keep(store, b"bytes")
    store.delete(stored.path, stored.key)
    store.delete(stored.path, stored.key)
    with pytest.raises(NotFound):
        store.size(stored.path, stored.key)


def test_a_late_deletion_of_an_old_version_spares_what_took_its_path(store: FileStore) -> None:
    old = keep(store, b"old bytes")
    store.delete(old.path, old.key)
    new = keep(store, b"new bytes")
    store.delete(old.path, old.key)
    assert read(store, new) == b"new bytes"
    with pytest.raises(NotFound):
        store.open(old.path, old.key)
    with pytest.raises(NotFound):
        store.size(old.path, old.key)


def test_bytes_can_be_kept_again_after_their_deletion(store: FileStore) -> None:
    stored = keep(store, b"bytes")
    store.delete(stored.path, stored.key)
    assert read(store, keep(store, b"bytes")) == b"bytes"


def test_what_was_never_kept_is_not_found(store: FileStore) -> None:
    with pytest.raises(NotFound):
        store.open("no/such/file.fits", "0" * 32)
    with pytest.raises(NotFound):
        store.size("no/such/file.fits", "0" * 32)
    store.delete("no/such/file.fits", "0" * 32)


def test_a_key_that_this_path_never_had_is_not_found(store: FileStore) -> None:
    stored = keep(store, b"bytes")
    with pytest.raises(NotFound):
        store.open(stored.path, "f" * 32)
    with pytest.raises(NotFound):
        store.size(stored.path, "")
    store.delete(stored.path, "")
    assert read(store, stored) == b"bytes"


def test_a_reader_seeks_like_a_local_file(store: FileStore) -> None:
    data = os.urandom(2_500_000)
    stored = keep(store, data)
    with store.open(stored.path, stored.key) as reader:
        assert reader.seekable()
        assert reader.seek(-1000, os.SEEK_END) == len(data) - 1000
        assert reader.read() == data[-1000:]
        assert reader.read() == b""
        reader.seek(123_456)
        assert reader.read(2_000_000) == data[123_456:2_123_456]
        reader.seek(-10, os.SEEK_CUR)
        assert reader.tell() == 2_123_446
        assert reader.read(20) == data[2_123_446:2_123_466]
        reader.seek(len(data) + 5)
        assert reader.read(1) == b""


REFUSED_PATHS = [
    "../x.fits",
    "a/../../x.fits",
    "a/../x.fits",
    "/etc/x.fits",
    "a/\0/x.fits",
    "a/x\n.fits",
    "",
    "a/",
    "./x.fits",
    ".incoming/x.fits",
    "a/" + "x" * 300,
    "a/\udcff.fits",
    "/".join(["deep"] * 300),
]


def test_a_path_that_climbs_out_or_cannot_be_a_name_is_refused(store: FileStore) -> None:
    for path in REFUSED_PATHS:
        with staged(store, b"bytes") as arrived, pytest.raises(InvalidInput) as refused:
            store.keep(arrived, path, filename="x.fits")
        assert refused.value.field == "path", path
        for ask in (store.open, store.size):
            with pytest.raises((InvalidInput, NotFound)):  # a bucket may have objects with such names; this isn't one
                ask(path, "0" * 32)


def test_empty_path_segments_are_dropped(store: FileStore) -> None:
    stored = keep(store, b"bytes", "tst//20260101/raw/x.fits")
    assert stored.path == "tst/20260101/raw/x.fits"
    assert read(store, stored) == b"bytes"


def test_many_threads_keeping_and_deleting_in_one_folder_lose_nothing(store: FileStore) -> None:
    def come_and_go(number: int) -> Stored:
        data = f"bytes of {number}".encode()
        for _ in range(3):
            stored = keep(store, data, f"tst/en01/{number % 2}/raw/x{number}.fits")
            store.delete(stored.path, stored.key)
        return keep(store, data, f"tst/en01/{number % 2}/raw/x{number}.fits")

    with ThreadPoolExecutor(8) as threads:
        kept = list(threads.map(come_and_go, range(12)))
    assert [read(store, stored) for stored in kept] == [f"bytes of {number}".encode() for number in range(12)]


def test_threads_with_different_bytes_for_one_path_all_keep_theirs(store: FileStore) -> None:
    with ThreadPoolExecutor(6) as threads:
        kept = list(threads.map(lambda number: keep(store, b"bytes %d" % number), range(6)))
    assert len(set(kept)) == 6
    assert [read(store, stored) for stored in kept] == [b"bytes %d" % number for number in range(6)]


def test_a_link_if_there_is_one_names_exactly_this_version_and_is_as_old_as_asked(store: FileStore) -> None:
    stored = keep(store, b"bytes")
    url = store.url(stored.path, stored.key, filename="x.fits", expires=600)
    if isinstance(store, DirectoryStore):
        assert url == ""
        return
    assert stored.path in url
    assert stored.key in url
    assert "600" in url
