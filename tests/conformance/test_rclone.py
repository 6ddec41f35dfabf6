"""rclone judges the emulators of all four providers, and what we deliver to them.

An emulator that only our adapters speak with could share their mistakes. rclone has its own ideas of every protocol:
it uploads to each emulator and compares the hashes that it is told with those of its own files; and an owner who runs
`rclone check` over our deliveries learns that they are the files that they should be.
"""

from __future__ import annotations

import http.client
import random
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.conformance.rclone import DROPBOX_HOSTS, FOLDER, PROGRAM, Rclone, dropbox, gcs, google_drive, s3
from tests.contract.destination_harness import deliver, upload_of
from tests.emulators.tunnel import running_tunnel

pytestmark = pytest.mark.skipif(not PROGRAM, reason="rclone isn't installed here; Debian has it as `rclone`")

Account = Callable[[Path], AbstractContextManager[Rclone]]
ACCOUNTS: dict[str, Account] = {
    "s3": partial(s3, provider="Minio"),
    "s3-old-lists": partial(s3, provider="Other"),
    "gcs": gcs,
    "dropbox": partial(dropbox, batch_mode="sync"),
    "google-drive": google_drive,
}
SMALL, EMPTY, BIG = "small.fits", "empty.fits", "NGC 7000/it's 100% [α] + more?.fits"
SIZES = {SMALL: 10_000, EMPTY: 0, BIG: (17 << 20) + 5}
ALL_EQUAL = dict.fromkeys(SIZES, "=")


@pytest.fixture(params=ACCOUNTS)
def rclone(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rclone]:
    with ACCOUNTS[request.param](tmp_path) as ready:
        yield ready


@pytest.fixture(scope="module")
def contents() -> dict[str, bytes]:
    """Bytes without order: whoever takes them for text spoils them."""
    return {name: random.Random(name).randbytes(size) for name, size in SIZES.items()}


@pytest.fixture(scope="module")
def night(contents: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an empty, a small and a large file."""
    return written(tmp_path_factory.mktemp("night"), contents)


def written(folder: Path, contents: dict[str, bytes]) -> Path:
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def upload_and_check(rclone: Rclone, night: Path, contents: dict[str, bytes]) -> None:
    assert rclone.copy(night).count("Copied (new)") == len(contents)
    assert rclone.harness.objects() == {f"{FOLDER}/{name}": data for name, data in contents.items()}
    chunks = [one for one in rclone.server.log if rclone.chunk in one["path"] and one["body_bytes"] > 1 << 20]
    assert len(chunks) >= 2, "the large file goes in pieces"
    assert rclone.check(night) == dict.fromkeys(contents, "=")
    assert "Copied" not in rclone.copy(night), "times and sizes are as rclone left them"


def test_what_rclone_uploads_is_there_and_its_own_check_agrees(
    rclone: Rclone, night: Path, contents: dict[str, bytes]
) -> None:
    upload_and_check(rclone, night, contents)


def test_what_rclone_uploads_to_dropbox_in_single_requests_is_there_too(
    contents: dict[str, bytes], tmp_path: Path
) -> None:
    """In ASCII: rclone 1.60 puts other names into a header as they are, which Dropbox's documentation forbids and the
    emulator refuses."""
    plain = {name.encode("ascii", "replace").decode(): data for name, data in contents.items()}
    with dropbox(tmp_path, batch_mode="off") as rclone:
        upload_and_check(rclone, written(tmp_path / "night", plain), plain)
        assert [one["path"] for one in rclone.server.log].count("/2/files/upload") == 2


def test_s53_what_we_deliver_is_equal_by_rclone_s_check_until_somebody_tampers_with_it(
    rclone: Rclone, night: Path, contents: dict[str, bytes]
) -> None:
    destination = rclone.harness.open(8 << 20)
    for number, (name, data) in enumerate(contents.items()):
        deliver(destination, upload_of(data, f"{FOLDER}/{name}", f"transfer-{number}"), data)
    assert rclone.check(night) == ALL_EQUAL
    assert rclone.check(night, "--download") == ALL_EQUAL
    for name in (SMALL, BIG):
        rclone.harness.place(f"{FOLDER}/{name}", contents[name][:-1] + bytes([contents[name][-1] ^ 1]))
    assert rclone.check(night) == {SMALL: "*", EMPTY: "=", BIG: "*"}
    assert rclone.check(night, "--size-only") == ALL_EQUAL, "only the hashes tell"


def test_the_tunnel_leads_to_no_other_host(tmp_path: Path) -> None:
    with running_tunnel(lambda _: pytest.fail("asked"), DROPBOX_HOSTS, tmp_path) as server:
        asking = http.client.HTTPSConnection("127.0.0.1", server.server_address[1], timeout=10)
        asking.set_tunnel("example.org", 443)
        with pytest.raises(OSError, match=re.escape("403 Forbidden")):
            asking.request("GET", "/")
