"""Downloads and zips with other file stores and settings: rows D01, D03, D09 to D12 and H02 of the contract."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest

from tests.integration.api.packed_files import PIXELS, packed, reduced, unpacked_pixels
from tests.postgres import fresh_database
from tests.records import FUTURE, fits_bytes, new_name, record
from tests.s3_emulator import ACCESS_KEY, SECRET_KEY, S3Emulator, running_s3
from tests.site import PROPOSAL, Site, running_site

Sites = Callable[[Mapping[str, str]], AbstractContextManager[Site]]


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Emulator]:
    with running_s3() as emulator:
        yield emulator


@pytest.fixture
def sites(cluster: str, template: str, tmp_path: Path) -> Sites:
    """Makes a site of one's own with these settings."""

    @contextmanager
    def running(environment: Mapping[str, str]) -> Iterator[Site]:
        with (
            fresh_database(cluster, template=template) as conninfo,
            running_site(tmp_path, conninfo, environment, prepared=True) as site,
        ):
            yield site

    return running


def bucket(s3: S3Emulator) -> dict[str, str]:
    """Settings for a bucket of one's own."""
    return {
        "FILESTORE_TYPE": "s3",
        "BUCKET": s3.new_bucket(),
        "S3_ENDPOINT_URL": s3.endpoint,
        "S3_ADDRESSING_STYLE": "path",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def zip_of(site: Site, *ids: int, **more: object) -> httpx.Response:
    answer = site.anonymous.post("/frames/zip/", json={"frame_ids": ids, **more})
    assert answer.status_code == 200, answer.text
    return answer


def test_d01_downloads_from_a_bucket_are_redirected_to_exactly_this_version_for_48_hours(
    s3: S3Emulator, sites: Sites
) -> None:
    with sites(bucket(s3)) as site:
        name, first, second = new_name(), fits_bytes(), fits_bytes()
        for data in (first, second):
            site.ingest(data, f"{name}.fits")
        frame = site.anonymous.get("/frames/", params={"basename_exact": name}).json()["results"][0]
        for version, data in zip(frame["version_set"], (second, first), strict=True):
            answer = site.anonymous.get(version["url"])
            assert answer.status_code == 302
            where = urlsplit(answer.headers["location"])
            asked = parse_qs(where.query)
            assert asked["versionId"] == [version["key"]]
            assert asked["X-Amz-Expires"] == ["172800"]
            got = httpx.get(answer.headers["location"], trust_env=False, timeout=60).content
            assert (got, hashlib.md5(got).hexdigest()) == (data, version["md5"])
            head = site.anonymous.head(version["url"])
            assert (head.status_code, urlsplit(head.headers["location"]).path) == (302, where.path)


def test_d01_the_api_serves_a_buckets_files_itself_when_the_operator_says_so(s3: S3Emulator, sites: Sites) -> None:
    with sites({**bucket(s3), "STARFERRY_DOWNLOADS": "serve"}) as site:
        data = fits_bytes(shape=(700, 700))
        frame = site.ingest(data, f"{new_name()}.fits")
        answer = site.anonymous.get(frame["url"])
        assert (answer.status_code, answer.content) == (200, data)
        part = site.anonymous.get(frame["url"], headers={"Range": "bytes=500000-500009"})
        assert (part.status_code, part.content) == (206, data[500_000:500_010])


def test_d03_d10_and_d11_work_on_a_bucket(s3: S3Emulator, sites: Sites) -> None:
    with sites(bucket(s3)) as site:
        raw = site.ingest(packed(), f"{new_name()}.fits.fz")
        done = site.ingest(reduced(), f"{new_name('e91')}.fits.fz")
        site.settle()
        archive = zipfile.ZipFile(io.BytesIO(zip_of(site, raw["id"], done["id"], uncompress=True).content))
        assert archive.testzip() is None
        alone = site.anonymous.get(f"/frame-funpack/{raw['id']}/funpack/").content
        assert (unpacked_pixels(alone) == PIXELS).all()
        assert alone in [archive.read(name) for name in archive.namelist()]
        assert site.anonymous.get(f"/frame-catalog/{done['id']}/catalog/").status_code == 200


def test_d12_links_lead_to_the_operators_own_server_when_there_is_one(sites: Sites) -> None:
    with sites({"FILESYSTEM_STORAGE_BASE_URL": "https://files.example.org/frames"}) as site:
        name = new_name()
        made = site.ingest(fits_bytes(), f"{name}.fits")
        site.ingest(fits_bytes(), f"{name}.fits")
        posted = site.post(record(site_id="t s", related_frame_filenames=[name]))
        site.settle()
        base = "https://files.example.org/frames/"
        shown = site.anonymous.get(f"/frames/{made['id']}/").json()
        paths = [version["url"].removeprefix(base) for version in shown["version_set"]]
        root = site.core.settings.data / "files"
        md5s = [hashlib.md5((root / path).read_bytes()).hexdigest() for path in paths]
        assert md5s == [version["md5"] for version in shown["version_set"]]
        assert shown["url"] == shown["version_set"][0]["url"]
        assert made["url"] == shown["version_set"][1]["url"], "the answer to the ingest has the same link"
        listed = site.anonymous.get("/frames/", params={"basename_exact": name}).json()["results"][0]
        assert listed["version_set"] == shown["version_set"]
        assert posted["url"].startswith(base + quote("t s/fa01/20240101/raw/"))
        related = site.anonymous.get(f"/frames/{posted['id']}/related/").json()[0]
        assert related["version_set"] == shown["version_set"]
        rows = {row["id"]: row for row in site.admin.get("/versions/").json()["results"]}
        assert [rows[version["id"]]["url"] for version in shown["version_set"]] == [base + path for path in paths]


def test_h02_the_dummy_store_keeps_nothing_and_gives_no_links(sites: Sites) -> None:
    with sites({"FILESTORE_TYPE": "dummy"}) as site:
        data = fits_bytes()
        frame = site.ingest(data, f"{new_name()}.fits")
        md5 = hashlib.md5(data).hexdigest()
        version = frame["version_set"][0]
        assert (version["key"], version["md5"], version["url"], frame["url"]) == (md5, md5, "", "")
        posted = site.post(record())
        assert (posted["url"], posted["version_set"][0]["url"]) == ("", "")
        site.settle()
        assert site.anonymous.get(f"/frames/{posted['id']}/").json()["url"] == ""
        assert not list(site.core.settings.data.rglob("*.fits"))
        answer = site.anonymous.get(f"/files/{version['id']}/{frame['filename']}")
        assert answer.status_code == 404
        assert "without a file store" in answer.json()["detail"]
        archive = zipfile.ZipFile(io.BytesIO(zip_of(site, frame["id"]).content))
        assert [name.split("/")[1] for name in archive.namelist()] == ["MISSING.txt"]


def test_d09_the_manifest_has_a_line_for_each_file(sites: Sites) -> None:
    with sites({"STARFERRY_ZIP_MODE": "manifest", "ZIP_DOWNLOAD_FILENAME_BASE": "lco"}) as site:
        plain, raw, done = fits_bytes(DATE_OBS="2024-01-03T00:00:00"), packed(), reduced()
        one = site.ingest(plain, f"{new_name()}.fits")
        two = site.ingest(raw, f"{new_name()}.fits.fz")
        three = site.ingest(done, f"{new_name('e91')}.fits.fz")
        lost = site.post(record())
        site.settle()
        ids = [frame["id"] for frame in (one, two, three, lost)]
        before = datetime.now(UTC)
        answer = zip_of(site, *ids)
        folder = answer.headers["content-disposition"].removeprefix("attachment; filename=").removesuffix(".zip")
        assert folder in {f"lco-{day:%Y%m%d}-4" for day in (before, datetime.now(UTC))}
        assert answer.headers["x-archive-files"] == "zip"
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.headers["set-cookie"] == "fileDownload=true; path=/"
        assert "x-frame-options" not in answer.headers
        place = "/zip-files/tst/fa01/20240101/raw"
        lines = answer.text.splitlines()
        assert lines[0] == f"- {len(plain)} {place}/{one['filename']} {folder}/{one['filename']}"
        assert f"- {len(raw)} {place}/{two['filename']} {folder}/{two['filename']}" in lines
        assert len(lines) == 3
        assert site.anonymous.post("/frames/zip/", json={"frame_ids": [lost["id"]]}).status_code == 404
        assert answer.text.endswith("\n")
        unpacked = site.anonymous.get(f"/frame-funpack/{two['id']}/funpack/").content
        expected = f"- {len(unpacked)} /frame-funpack/{two['id']}/funpack/ {folder}/{two['basename']}.fits"
        assert expected in zip_of(site, *ids, uncompress=True).text.splitlines()
        table = site.anonymous.get(f"/frame-catalog/{three['id']}/catalog/").content
        expected = f"- {len(table)} /frame-catalog/{three['id']}/catalog/ {folder}/{three['basename']}-catalog.fits"
        assert expected in zip_of(site, *ids, catalog_only=True).text.splitlines()


def test_d09_locations_of_proprietary_files_work_for_nginx_which_has_no_token(sites: Sites) -> None:
    with sites({"STARFERRY_ZIP_MODE": "manifest"}) as site:
        frame = site.ingest(packed(PROPID=PROPOSAL, L1PUBDAT=FUTURE), f"{new_name()}.fits.fz")
        site.settle()
        line = zip_of(site, frame["id"], uncompress=True, auth_token=site.user_token).text
        _, size, location, _ = line.split(" ")
        assert site.anonymous.get(location.partition("?")[0]).status_code == 404
        answer = site.anonymous.get(location)
        assert (answer.status_code, len(answer.content)) == (200, int(size))


def test_d09_a_buckets_files_are_found_by_their_signed_links(s3: S3Emulator, sites: Sites) -> None:
    environment = bucket(s3)
    with sites({**environment, "STARFERRY_ZIP_MODE": "manifest"}) as site:
        data = fits_bytes()
        frame = site.ingest(data, f"{new_name()}.fits")
        site.settle()
        _, size, location, _ = zip_of(site, frame["id"]).text.split(" ")
        assert int(size) == len(data)
        assert location.startswith(f"/zip-files/{environment['BUCKET']}/tst/fa01/20240101/raw/{frame['filename']}?")
        assert parse_qs(urlsplit(location).query)["X-Amz-Expires"] == ["86400"]
        link = s3.endpoint + location.removeprefix("/zip-files")
        assert httpx.get(link, trust_env=False, timeout=60).content == data
