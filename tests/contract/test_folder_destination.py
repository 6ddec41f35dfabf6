"""What only the folder destination promises: it stays inside its root, and a full or broken disk is told apart."""

from __future__ import annotations

import errno
import gc
import os
from pathlib import Path
from unittest import mock

import msgspec
import pytest

from adapters.destinations import folder_tree
from adapters.destinations.folder import FolderDestination
from adapters.destinations.folder_errors import classify
from adapters.destinations.hash_match import verify
from domain.errors import ChecksumMismatch, DestinationPaused, GiveUp, RetryLater, StarferryError
from tests.contract.destination_harness import SMALL_CHUNK, content, deliver, send, upload_of

DATA = content(3 * SMALL_CHUNK + 1)
PATH = "/M31/image.fits"
UPLOAD = upload_of(DATA, PATH)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "allowed" / "nas"
    made.mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    return made


@pytest.fixture
def destination(root: Path) -> FolderDestination:
    return FolderDestination(root, [root.parent], SMALL_CHUNK)


def everything(folder: Path) -> list[str]:
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*"))


@pytest.mark.parametrize("where", ["allowed/../outside", "outside", "allowed-too", "."])
def test_s04_a_root_outside_the_allowed_ones_is_refused(root: Path, tmp_path: Path, where: str) -> None:
    (tmp_path / "allowed-too").mkdir()
    destination = FolderDestination(tmp_path / where, [root.parent])
    with pytest.raises(GiveUp, match="outside the roots"):
        deliver(destination, UPLOAD, DATA)
    assert [check.ok for check in destination.test()] == [False]
    assert everything(tmp_path / "outside") == []


def test_a_relative_root_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    with pytest.raises(GiveUp, match="outside the roots"):
        FolderDestination(Path("."), [root]).begin(UPLOAD, None)


def test_without_allowed_roots_folders_are_switched_off(root: Path) -> None:
    with pytest.raises(GiveUp, match="STARFERRY_FOLDER_ROOTS"):
        FolderDestination(root, []).begin(UPLOAD, None)


def test_a_root_that_is_a_link_out_of_the_allowed_ones_is_refused(root: Path, tmp_path: Path) -> None:
    link = root.parent / "link"
    link.symlink_to(tmp_path / "outside")
    with pytest.raises(GiveUp, match="outside the roots"):
        FolderDestination(link, [root.parent]).begin(UPLOAD, None)


def test_a_root_and_an_allowed_root_behind_links_are_the_folders_they_lead_to(root: Path, tmp_path: Path) -> None:
    (tmp_path / "mounted").symlink_to(root.parent)
    destination = FolderDestination(tmp_path / "mounted" / "nas", [tmp_path / "mounted"], SMALL_CHUNK)
    deliver(destination, UPLOAD, DATA)
    assert (root / "M31/image.fits").read_bytes() == DATA


def test_a_link_inside_the_destination_does_not_lead_out(
    destination: FolderDestination, root: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    (outside / "image.fits").write_bytes(DATA)
    (root / "M31").symlink_to(outside)
    arrived = deliver(destination, upload_of(DATA, "/elsewhere/image.fits"), DATA)
    for step in (
        lambda: destination.begin(UPLOAD, None),
        lambda: destination.find(UPLOAD),
        lambda: destination.remove(msgspec.structs.replace(arrived, path=PATH)),
        lambda: destination.abandon(UPLOAD, destination.begin(upload_of(DATA, "/x"), None)),
    ):
        with pytest.raises(GiveUp, match="symbolic link"):
            step()
    assert everything(outside) == ["image.fits"]


def test_a_link_in_the_file_s_place_is_neither_followed_nor_replaced(
    destination: FolderDestination, root: Path, tmp_path: Path
) -> None:
    target = tmp_path / "outside" / "target.fits"
    target.write_bytes(DATA)
    (root / "M31").mkdir()
    (root / "M31/image.fits").symlink_to(target)
    with pytest.raises(GiveUp, match="symbolic link"):
        deliver(destination, UPLOAD, DATA)
    assert (root / "M31/image.fits").is_symlink()


@pytest.mark.parametrize("path", ["/../x.fits", "/a/../../x.fits", "/./x", "//x", "/", "", "/a/", "/a\0b", "/\ud800"])
def test_a_path_that_could_lead_elsewhere_is_refused(destination: FolderDestination, root: Path, path: str) -> None:
    with pytest.raises(GiveUp, match="path"):
        destination.begin(msgspec.structs.replace(UPLOAD, path=path), None)
    assert everything(root) == []


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_something_that_is_no_file_in_the_file_s_place_is_left(
    destination: FolderDestination, root: Path, kind: str
) -> None:
    (root / "M31").mkdir()
    place = root / "M31" / "image.fits"
    place.mkdir() if kind == "folder" else os.mkfifo(place)
    with pytest.raises(GiveUp):
        deliver(destination, UPLOAD, DATA)
    assert place.is_dir() or place.is_fifo()


def test_two_long_names_with_one_beginning_do_not_share_their_unfinished_file(
    destination: FolderDestination, root: Path
) -> None:
    uploads = [upload_of(DATA, f"/{'α' * 120}{end}.fits") for end in "ab"]
    sessions = [send(destination, one, DATA, destination.begin(one, None), most=1) for one in uploads]
    assert len(everything(root)) == 2
    for one, session in zip(uploads, sessions, strict=True):
        verify(one, destination.finish(one, send(destination, one, DATA, session)))


@pytest.mark.parametrize("torn", [0, 1, SMALL_CHUNK - 1, SMALL_CHUNK + 7])
def test_s04_a_torn_unfinished_file_goes_on_from_its_last_whole_chunk(
    destination: FolderDestination, root: Path, torn: int
) -> None:
    session = send(destination, UPLOAD, DATA, destination.begin(UPLOAD, None), most=2)
    (part,) = (root / "M31").iterdir()
    os.truncate(part, torn)
    resumed = destination.begin(UPLOAD, session)
    assert resumed.offset == torn // SMALL_CHUNK * SMALL_CHUNK
    verify(UPLOAD, destination.finish(UPLOAD, send(destination, UPLOAD, DATA, resumed)))


def test_s04_s53_bytes_that_the_disk_changed_never_get_the_name_and_are_written_anew(
    destination: FolderDestination, root: Path
) -> None:
    session = send(destination, UPLOAD, DATA, destination.begin(UPLOAD, None))
    (part,) = (root / "M31").iterdir()
    with part.open("r+b") as file:
        file.write(b"\xff")
    with pytest.raises(ChecksumMismatch):
        destination.finish(UPLOAD, session)
    assert everything(root) == ["M31"]
    assert destination.begin(UPLOAD, session).offset == 0


def test_s04_a_crash_after_naming_the_file_does_not_endanger_it(destination: FolderDestination, root: Path) -> None:
    session = send(destination, UPLOAD, DATA, destination.begin(UPLOAD, None))
    with mock.patch.object(os, "unlink", side_effect=OSError(errno.EIO, "crash")), pytest.raises(RetryLater):
        destination.finish(UPLOAD, session)
    assert len(everything(root)) == 3, "both names are there"
    destination.begin(UPLOAD, None)
    assert (root / "M31/image.fits").read_bytes() == DATA


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
@pytest.mark.parametrize("there", [None, DATA, b"theirs"])
def test_without_hard_links_nothing_is_replaced_either(
    destination: FolderDestination, root: Path, code: int, there: bytes | None
) -> None:
    if there is not None:
        (root / "M31").mkdir()
        (root / "M31/image.fits").write_bytes(there)
    with mock.patch.object(os, "link", side_effect=OSError(code, "no hard links")):
        if there == b"theirs":
            with pytest.raises(GiveUp, match="Another file"):
                deliver(destination, UPLOAD, DATA)
        else:
            verify(UPLOAD, deliver(destination, UPLOAD, DATA))
    assert (root / "M31/image.fits").read_bytes() == (there or DATA)
    assert everything(root) == ["M31", "M31/image.fits"]


def test_s46_a_disk_that_fills_up_pauses_the_destination_and_the_upload_goes_on_later(
    destination: FolderDestination, root: Path
) -> None:
    session = send(destination, UPLOAD, DATA, destination.begin(UPLOAD, None), most=1)
    full = mock.patch.object(os, "pwrite", side_effect=OSError(errno.ENOSPC, "full"))
    with full, pytest.raises(DestinationPaused, match="full"):
        destination.put(UPLOAD, session, DATA[session.offset :][:SMALL_CHUNK])
    resumed = destination.begin(UPLOAD, session)
    assert resumed.offset == SMALL_CHUNK
    verify(UPLOAD, destination.finish(UPLOAD, send(destination, UPLOAD, DATA, resumed)))


def test_short_writes_are_completed(destination: FolderDestination, root: Path) -> None:
    real = os.pwrite
    with mock.patch.object(os, "pwrite", lambda file, data, at: real(file, bytes(data)[:1000], at)):
        verify(UPLOAD, deliver(destination, UPLOAD, DATA))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, DestinationPaused),
        (errno.EDQUOT, DestinationPaused),
        (errno.EACCES, GiveUp),
        (errno.EROFS, GiveUp),
        (errno.ENAMETOOLONG, GiveUp),
        (errno.EIO, RetryLater),
        (errno.ESTALE, RetryLater),
        (errno.ETIMEDOUT, RetryLater),
        (None, RetryLater),
    ],
)
def test_a_system_error_is_classed_by_what_to_do_next(code: int | None, kind: type[StarferryError]) -> None:
    exc = OSError(code, "text", "/srv/secret/place") if code else OSError("odd")
    fault = classify(exc)
    assert type(fault) is kind
    assert "/srv" not in str(fault)


def test_no_descriptor_stays_open(destination: FolderDestination) -> None:
    gc.collect()  # what earlier tests have left isn't to be closed meanwhile
    before = len(os.listdir("/proc/self/fd"))
    deliver(destination, UPLOAD, DATA)
    destination.test()
    with pytest.raises(GiveUp):
        deliver(destination, upload_of(b"other", PATH), b"other")
    with pytest.raises(GiveUp):
        destination.begin(upload_of(DATA, PATH + "/below-a-file"), None)
    assert len(os.listdir("/proc/self/fd")) == before


def test_s04_names_are_made_durable_with_their_folders(destination: FolderDestination) -> None:
    with mock.patch.object(folder_tree, "sync", wraps=folder_tree.sync) as sync:
        deliver(destination, upload_of(DATA, "/a/b/c.fits"), DATA)
    assert sync.call_count == 3, "two new folders and the file's name"
