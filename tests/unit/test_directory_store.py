"""What a directory store promises beyond the contract: names, durability, full disks, killed processes."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.clock import SystemClock
from adapters.file_store.directory import DirectoryStore
from application.ports.file_store import Stored
from domain.errors import InvalidInput, Misconfigured, NotFound, RetryLater, StarferryError

PATH = "tst/en01/20260101/raw/x.fits.fz"


def open_store(root: Path) -> DirectoryStore:
    return DirectoryStore(root, clock=SystemClock())


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return open_store(tmp_path)


def keep(store: DirectoryStore, data: bytes, path: str = PATH) -> Stored:
    with store.staging() as staging:
        staging.write(data)
        return store.keep(staging.finish(), path, filename="x.fits.fz")


def failing(code: int) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.fixture
def no_hard_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", failing(errno.EPERM))


@pytest.fixture
def no_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "setxattr", failing(errno.ENOTSUP))
    monkeypatch.setattr(os, "getxattr", failing(errno.ENOTSUP))


def test_h03_a_file_stands_under_its_path_and_its_key_is_the_md5(store: DirectoryStore, tmp_path: Path) -> None:
    assert keep(store, b"bytes") == Stored(path=PATH, key=hashlib.md5(b"bytes").hexdigest())
    assert (tmp_path / PATH).read_bytes() == b"bytes"


def test_other_bytes_go_beside_with_the_start_of_their_md5_in_the_name(store: DirectoryStore, tmp_path: Path) -> None:
    keep(store, b"first")
    second = keep(store, b"second")
    assert second.path == f"tst/en01/20260101/raw/x~{hashlib.md5(b'second').hexdigest()[:8]}.fits.fz"
    assert (tmp_path / PATH).read_bytes() == b"first"


def test_a_file_put_there_by_hand_is_adopted_when_its_bytes_are_the_same(store: DirectoryStore, tmp_path: Path) -> None:
    (tmp_path / PATH).parent.mkdir(parents=True)
    (tmp_path / PATH).write_bytes(b"bytes")
    inode = (tmp_path / PATH).stat().st_ino
    stored = keep(store, b"bytes")
    assert stored.path == PATH
    assert (tmp_path / PATH).stat().st_ino == inode
    assert store.open(stored.path, stored.key).read() == b"bytes"


def test_a_half_written_file_put_there_by_hand_is_not_taken_for_the_whole(
    store: DirectoryStore, tmp_path: Path
) -> None:
    (tmp_path / PATH).parent.mkdir(parents=True)
    (tmp_path / PATH).write_bytes(b"byt\0\0")
    stored = keep(store, b"bytes")
    assert stored.path != PATH
    assert store.open(stored.path, stored.key).read() == b"bytes"


def test_a_file_changed_on_disk_is_no_longer_the_version(store: DirectoryStore, tmp_path: Path) -> None:
    stored = keep(store, b"bytes")
    (tmp_path / PATH).write_bytes(b"spoiled")
    with pytest.raises(NotFound):
        store.open(stored.path, stored.key)


@pytest.mark.parametrize("obstacle", ["folder", "link to nowhere"])
def test_something_else_under_the_name_is_left_alone(store: DirectoryStore, tmp_path: Path, obstacle: str) -> None:
    (tmp_path / PATH).parent.mkdir(parents=True)
    if obstacle == "folder":
        (tmp_path / PATH).mkdir()
    else:
        (tmp_path / PATH).symlink_to("nowhere")
    stored = keep(store, b"bytes")
    assert stored.path != PATH
    assert store.open(stored.path, stored.key).read() == b"bytes"
    assert (tmp_path / PATH).is_dir() or (tmp_path / PATH).is_symlink()


def test_a_file_where_a_folder_is_needed_is_refused(store: DirectoryStore) -> None:
    keep(store, b"bytes", "tst/en01")
    with pytest.raises(InvalidInput, match="is a file"):
        keep(store, b"bytes", "tst/en01/x.fits")


@pytest.mark.usefixtures("no_hard_links")
def test_without_hard_links_a_name_is_given_once_too(store: DirectoryStore, tmp_path: Path) -> None:
    first, second, again = keep(store, b"first"), keep(store, b"second"), keep(store, b"first")
    assert again == first
    assert first.path == PATH
    assert (tmp_path / PATH).read_bytes() == b"first"
    assert store.open(second.path, second.key).read() == b"second"
    assert not list((tmp_path / ".incoming").glob("*.incoming"))


@pytest.mark.usefixtures("no_attributes")
def test_without_extended_attributes_versions_are_told_apart_by_reading(store: DirectoryStore, tmp_path: Path) -> None:
    old = keep(store, b"old")
    store.delete(old.path, old.key)
    new = keep(store, b"new")
    later_process = open_store(tmp_path)
    later_process.delete(old.path, old.key)
    assert later_process.open(new.path, new.key).read() == b"new"
    with pytest.raises(NotFound):
        later_process.open(old.path, old.key)


def test_deletion_removes_the_folders_it_empties_and_no_others(store: DirectoryStore, tmp_path: Path) -> None:
    one, other = keep(store, b"one", "tst/en01/a/raw/x.fits"), keep(store, b"other", "tst/en01/b/raw/y.fits")
    store.delete(one.path, one.key)
    assert not (tmp_path / "tst/en01/a").exists()
    assert (tmp_path / other.path).exists()
    store.delete(other.path, other.key)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".incoming"]


def test_deletion_goes_on_with_the_folders_that_a_killed_one_left(store: DirectoryStore, tmp_path: Path) -> None:
    stored = keep(store, b"bytes")
    (tmp_path / PATH).unlink()
    (tmp_path / PATH).parent.rmdir()
    store.delete(stored.path, stored.key)
    assert not (tmp_path / "tst").exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("step", ["fsync", "link", "mkdir"])
def test_a_full_disk_says_so_and_may_be_tried_again(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, code: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, step, failing(code))
        with pytest.raises(RetryLater, match="full"):
            keep(store, b"bytes")
    assert not [entry for entry in tmp_path.rglob("*.incoming") if entry.is_file()]
    assert store.open(PATH, keep(store, b"bytes").key).read() == b"bytes"


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EXDEV, errno.EIO])
def test_h10_any_other_fault_of_the_disk_is_one_of_our_errors_without_a_path(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(os, "link", failing(code))
    with pytest.raises(StarferryError) as fault:
        keep(store, b"bytes")
    assert isinstance(fault.value, RetryLater if code == errno.EIO else Misconfigured)
    assert str(tmp_path) not in str(fault.value)


def test_a_root_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured):
        open_store(tmp_path / "file")


def test_bytes_then_names_are_on_the_disk_before_keep_returns(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    keep(store, b"bytes")
    assert synced[0].endswith(".incoming")
    above = ["", "tst", "tst/en01", "tst/en01/20260101", "tst/en01/20260101/raw"]
    assert synced[1:] == [str(tmp_path / folder).rstrip("/") for folder in above]


def test_a_new_process_trusts_no_folder_that_it_did_not_sync_itself(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(store, b"bytes")
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    assert keep(open_store(tmp_path), b"bytes").path == PATH
    assert {str(tmp_path), str(tmp_path / "tst"), str(tmp_path / PATH)} <= set(synced)


def test_leftovers_older_than_a_day_are_swept_at_the_start_and_nothing_else(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    incoming = tmp_path / ".incoming"
    with store.staging() as staging:
        staging.write(b"an upload that still runs")
        running = staging.finish().file
        shutil.copy(running, old := running.with_name("starferry-dead.incoming"))
        (foreign := incoming / "notes.txt").touch()
        long_ago = (datetime.now(UTC) - timedelta(days=1, minutes=1)).timestamp()
        for file in (old, foreign):
            os.utime(file, (long_ago, long_ago))
        open_store(tmp_path)
        assert running.exists()
        assert not old.exists()
        assert foreign.exists()


DIES_AT_EVERY_LINE = """
import errno, hashlib, itertools, os, shutil, signal, sys
from pathlib import Path
import adapters.file_store
from adapters.clock import SystemClock
from adapters.file_store.directory import DirectoryStore

root, way = Path(sys.argv[1]), sys.argv[2]
traced = (str(Path(adapters.file_store.__file__).parent), shutil.__file__)

def refuse(*_):
    raise OSError(errno.EPERM, "no hard links here")

if way == "copied":
    os.link = refuse
os.fsync = lambda _: None  # what it adds shows only when the machine dies, not the process

def name_of(data):
    return hashlib.md5(data).hexdigest() + ".fits"

def store_and_keep(data, folder):
    store = DirectoryStore(root, clock=SystemClock())
    with store.staging() as staging:
        staging.write(data)
        return store, store.keep(staging.finish(), f"{folder}/raw/{name_of(data)}", filename="x.fits")

def die_at(line):
    lines = itertools.count(1)
    def trace(frame, event, _):
        if not frame.f_code.co_filename.startswith(traced):
            return None
        if event == "line" and next(lines) == line:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace
    sys.settrace(trace)

for line in itertools.count(1):
    data = os.urandom(3000)
    child = os.fork()
    if child == 0:
        die_at(line)
        store, stored = store_and_keep(data, line)
        store.delete(stored.path, stored.key)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    for leftover in root.glob(".incoming/*.incoming"):
        leftover.unlink()  # else each start has more of them to look at, and the lines never end
    for file in root.glob("[0-9]*/raw/*"):
        assert name_of(file.read_bytes()) == file.name, f"half a file after line {line}"
    store, stored = store_and_keep(data, line)
    assert stored.path.endswith(f"raw/{name_of(data)}"), stored
    assert store.open(stored.path, stored.key).read() == data
    store.delete(stored.path, stored.key)
    assert sorted(entry.name for entry in root.iterdir()) == [".incoming"], f"folders left after line {line}"
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL
print(line)
"""


@pytest.mark.parametrize("way", ["linked", "copied"])
def test_killed_at_any_line_it_leaves_no_half_file_and_the_bytes_can_be_kept_again(tmp_path: Path, way: str) -> None:
    command = [sys.executable, "-c", DIES_AT_EVERY_LINE, str(tmp_path), way]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


def test_a_folder_removed_by_a_deletion_just_before_the_name_is_given_is_made_again(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link_now = os.link
    removed: list[Path] = []

    def link_late(source: Path, final: Path) -> None:
        if not removed:
            final.parent.rmdir()
            removed.append(final.parent)
        link_now(source, final)

    monkeypatch.setattr(os, "link", link_late)
    stored = keep(store, b"bytes")
    assert removed == [(tmp_path / PATH).parent]
    assert (tmp_path / stored.path).read_bytes() == b"bytes"


def test_a_file_deleted_while_it_is_compared_is_put_there_anew(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(store, b"bytes")
    link_now = os.link

    def link_and_delete(source: Path, final: Path) -> None:
        try:
            link_now(source, final)
        except FileExistsError:
            final.unlink()
            raise

    monkeypatch.setattr(os, "link", link_and_delete)
    stored = keep(store, b"bytes")
    assert stored.path == PATH
    assert (tmp_path / PATH).read_bytes() == b"bytes"
