"""Downloads of single files: rows D01, D02, D12 and X08 of the contract."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

import httpx
import pytest

from api import contents, links
from api.links import LINK_SECONDS
from api.links import _end as end_of_links
from tests.integration.api.packed_files import packed
from tests.records import FUTURE, fits_bytes, new_name
from tests.site import PROPOSAL, Site, eventually


@pytest.fixture(scope="module")
def data() -> bytes:
    return fits_bytes(shape=(600, 600))


@pytest.fixture(scope="module")
def frame(site: Site, data: bytes) -> dict[str, Any]:
    made = site.ingest(data, f"{new_name()}.fits")
    site.settle()
    return made


def test_d01_a_link_gives_the_bytes_with_the_versions_md5_for_48_hours(
    site: Site, frame: dict[str, Any], data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "_end", end_of_links)  # the site's stay the same, whatever hour it is
    before = time.time()
    listed = site.anonymous.get("/frames/", params={"basename_exact": frame["basename"]}).json()["results"][0]
    version = listed["version_set"][0]
    assert listed["url"] == version["url"]
    answer = site.anonymous.get(version["url"])
    assert (answer.status_code, hashlib.md5(answer.content).hexdigest()) == (200, version["md5"])
    assert answer.content == data
    expires = int(httpx.URL(version["url"]).params["expires"])
    assert before + LINK_SECONDS <= expires <= time.time() + LINK_SECONDS + 3600


def test_d02_each_version_keeps_its_own_bytes_whatever_its_extension(site: Site) -> None:
    name = new_name()
    plain, fz, gz = fits_bytes(), packed(), fits_bytes()
    for data, extension in ((plain, ".fits"), (fz, ".fits.fz"), (gz, ".fits")):
        site.ingest(data, name + extension)
    site.settle()
    shown = site.anonymous.get("/frames/", params={"basename_exact": name}).json()["results"][0]
    assert [version["extension"] for version in shown["version_set"]] == [".fits", ".fits.fz", ".fits"]
    for version, data in zip(shown["version_set"], (gz, fz, plain), strict=True):
        answer = site.anonymous.get(version["url"])
        assert answer.content == data
        assert answer.headers["content-disposition"] == f"attachment; filename={name}{version['extension']}"


def test_d12_the_directory_store_needs_no_second_server(site: Site, frame: dict[str, Any], data: bytes) -> None:
    assert frame["url"].startswith(f"{site.url}/files/")
    assert site.anonymous.get(frame["url"]).content == data


def test_x08_a_version_keeps_its_address_for_those_who_may_see_the_frame(site: Site, data: bytes) -> None:
    own = site.ingest(fits_bytes(PROPID=PROPOSAL, L1PUBDAT=FUTURE), f"{new_name()}.fits")
    site.settle()
    address = str(httpx.URL(own["url"]).copy_with(query=None))
    for _ in range(2):
        assert site.user.get(address).status_code == 200
    assert site.anonymous.get(address).status_code == 404
    assert site.client("nobodys").get(address).status_code == 401


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("0-99", 0, 100), ("100-", 100, None), ("-50", -50, None), ("5-5", 5, 6), ("10-99999999", 10, None)],
)
def test_x08_a_range_gives_that_part(
    site: Site, frame: dict[str, Any], data: bytes, asked: str, start: int, end: int | None
) -> None:
    answer = site.anonymous.get(frame["url"], headers={"Range": f"bytes={asked}"})
    part = data[start:end]
    first = start % len(data)
    assert (answer.status_code, answer.content) == (206, part)
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(part) - 1}/{len(data)}"
    assert answer.headers["content-length"] == str(len(part))


def test_x08_a_range_beyond_the_file_is_416_with_the_files_length(
    site: Site, frame: dict[str, Any], data: bytes
) -> None:
    for asked in (f"{len(data)}-", "-0", "9999999999-,99999999999-"):
        answer = site.anonymous.get(frame["url"], headers={"Range": f"bytes={asked}"})
        assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{len(data)}")


def test_x08_an_interrupted_download_goes_on_where_it_broke(site: Site, frame: dict[str, Any], data: bytes) -> None:
    with httpx.stream("GET", frame["url"], trust_env=False, timeout=60) as first:
        begun = next(first.iter_raw(100_000))
        tag = first.headers["etag"]
    rest = site.anonymous.get(frame["url"], headers={"Range": f"bytes={len(begun)}-", "If-Range": tag})
    assert rest.status_code == 206
    assert begun + rest.content == data
    other = site.anonymous.get(frame["url"], headers={"Range": "bytes=5-", "If-Range": '"other"'})
    assert (other.status_code, other.content) == (200, data)


def test_x08_what_the_client_has_already_isnt_sent_again(site: Site, frame: dict[str, Any]) -> None:
    seen = site.anonymous.get(frame["url"]).headers
    for condition in ({"If-None-Match": seen["etag"]}, {"If-Modified-Since": seen["last-modified"]}):
        answer = site.anonymous.get(frame["url"], headers=condition)
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", seen["etag"])
    assert site.anonymous.get(frame["url"], headers={"If-Match": '"other"'}).status_code == 412


def test_x08_the_answer_names_the_files_checksums(site: Site, frame: dict[str, Any], data: bytes) -> None:
    headers = site.anonymous.get(frame["url"]).headers
    sha256, md5 = hashlib.sha256(data), hashlib.md5(data)
    assert headers["etag"] == f'"{sha256.hexdigest()}"'
    shown = f"sha-256=:{b64encode(sha256.digest()).decode()}:, md5=:{b64encode(md5.digest()).decode()}:"
    assert headers["repr-digest"] == shown
    part = site.anonymous.get(frame["url"], headers={"Range": "bytes=0-9"})
    assert part.headers["repr-digest"] == shown, "of the whole file, also for a part"


def test_x08_head_says_what_get_would(site: Site, frame: dict[str, Any]) -> None:
    head, get = site.anonymous.head(frame["url"]), site.anonymous.get(frame["url"])
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "etag", "last-modified", "accept-ranges", "repr-digest", "content-disposition"):
        assert head.headers[name] == get.headers[name]
    assert site.anonymous.head(frame["url"], headers={"Range": "bytes=0-1"}).status_code == 200
    assert site.anonymous.head(f"{site.url}/files/2000000000/x.fits").status_code == 404


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("with space", 'attachment; filename="with space{0}.fits"'),
        ("grün", "attachment; filename=\"gr?n{0}.fits\"; filename*=UTF-8''gr%C3%BCn{0}.fits"),
        ("semi;colon=x", 'attachment; filename="semi;colon=x{0}.fits"'),
        ("a%2Fb?c#d", 'attachment; filename="a%2Fb?c#d{0}.fits"'),
    ],
)
def test_x08_any_file_name_arrives_as_it_is(site: Site, name: str, disposition: str) -> None:
    data, mark = fits_bytes(), new_name()
    frame = site.ingest(data, f"{name}{mark}.fits")
    answer = site.anonymous.get(frame["url"])
    assert answer.content == data
    assert answer.headers["content-disposition"] == disposition.format(mark)


def test_x08_a_file_that_the_store_lost_is_404_with_a_sentence(site: Site) -> None:
    frame = site.ingest(fits_bytes(), f"{new_name()}.fits")
    path: Path = next(path for path in site.files() if path.name == frame["filename"])
    path.unlink()
    answer = site.anonymous.get(frame["url"])
    assert (answer.status_code, answer.json()) == (404, {"detail": "The file is no longer in the file store."})


def test_x08_a_file_that_goes_while_the_answer_is_made_is_404_not_an_answer_that_breaks_off(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, name = fits_bytes(), new_name()
    frame = site.ingest(data, f"{name}.fits")
    measure = contents.size_of

    def measure_and_lose(*arguments: Any) -> int:
        size = measure(*arguments)
        for path in site.files():
            if name in path.name:
                path.unlink()
        return size

    monkeypatch.setattr(contents, "size_of", measure_and_lose)
    answer = site.anonymous.get(frame["url"])
    assert answer.status_code == 404
    assert "no longer" in answer.json()["detail"]


def test_x08_a_client_that_goes_away_leaves_no_file_open(site: Site) -> None:
    frame = site.ingest(packed(), f"{new_name()}.fits.fz")
    big = site.ingest(fits_bytes(shape=(3000, 3000)), f"{new_name()}.fits")
    site.settle()
    body = {"frame_ids": [big["id"], frame["id"]]}
    for _ in range(3):
        with httpx.stream("GET", big["url"], trust_env=False, timeout=60) as answer:
            next(answer.iter_raw(1000))
        with httpx.stream("POST", f"{site.url}/frames/zip/", json=body, trust_env=False, timeout=60) as answer:
            next(answer.iter_raw(1000))
    store = str(site.core.settings.data / "files")
    eventually(lambda: not [name for name in open_files() if name.startswith(store)], "a file is still open")


def open_files() -> list[str]:
    """What this process has open."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(os.readlink(entry))
    return found
