"""The Google Cloud Storage emulator, judged by the SDK that it stands in for, and through its command line."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
import requests
from google.api_core.exceptions import Forbidden, NotFound, PreconditionFailed
from google.cloud import storage

from adapters.destinations.gcs_client import Connection
from adapters.destinations.google_cloud_storage import GcsDestination
from adapters.destinations.hash_match import verify
from application.ports.destination import Session
from tests.contract.destination_harness import content, send, upload_of
from tests.contract.gcs_harness import BUCKET, EMAIL, GcsHarness

QUARTER_MIB = 256 * 1024


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[GcsHarness]:
    made = GcsHarness(tmp_path)
    yield made
    made.close()


@pytest.fixture
def bucket(harness: GcsHarness) -> Iterator[storage.Bucket]:
    connection = Connection(harness.info, harness.gcs.url)
    yield connection.client.bucket(BUCKET)
    connection.close()


@pytest.mark.parametrize("size", [0, 1000, 9 << 20])
def test_the_sdk_s_uploads_and_downloads_agree_with_it(bucket: storage.Bucket, size: int) -> None:
    data = content(size)
    blob = bucket.blob("dir name/α*.fits", chunk_size=QUARTER_MIB * 4)
    blob.upload_from_string(data, if_generation_match=0, checksum="crc32c", retry=None)
    assert base64.b64decode(blob.crc32c) == google_crc32c.value(data).to_bytes(4, "big")
    assert base64.b64decode(blob.md5_hash) == hashlib.md5(data).digest()
    assert blob.download_as_bytes(retry=None) == data
    if size:
        assert blob.download_as_bytes(start=10, end=19, retry=None) == data[10:20]


def test_lists_come_in_pages_and_by_prefix(bucket: storage.Bucket) -> None:
    for name in ("a/1", "a/2", "a/3", "b/1"):
        bucket.blob(name).upload_from_string(b"x", retry=None)
    assert [one.name for one in bucket.client.list_blobs(bucket, prefix="a/", page_size=2, retry=None)] == [
        "a/1",
        "a/2",
        "a/3",
    ]


def test_folders_are_listed_once_and_count_in_pages(bucket: storage.Bucket) -> None:
    for name in ("a/1", "a/2", "b", "c/1", "c/2", "d"):
        bucket.blob(name).upload_from_string(b"x", retry=None)
    pages = [
        ([one.name for one in page], sorted(page.prefixes))
        for page in bucket.client.list_blobs(bucket, delimiter="/", page_size=2, retry=None).pages
    ]
    assert pages == [(["b"], ["a/"]), (["d"], ["c/"])]


def test_the_media_link_leads_to_the_bytes_of_that_generation(bucket: storage.Bucket) -> None:
    blob = bucket.blob("dir name/α*.fits")
    blob.upload_from_string(b"1", retry=None)
    link = blob.media_link
    assert bucket.client._http.get(link, timeout=5).content == b"1"
    blob.upload_from_string(b"2", retry=None)
    assert bucket.client._http.get(link, timeout=5).status_code == 404


def test_a_part_of_a_multipart_upload_needs_no_headers(harness: GcsHarness, bucket: storage.Bucket) -> None:
    data = b"\r\nbytes\r\n\r\nthat look like headers\r\n"
    metadata = b'--x\r\nContent-Type: application/json\r\n\r\n{"name": "a"}\r\n'
    answer = bucket.client._http.post(
        f"{harness.gcs.url}/upload/storage/v1/b/{BUCKET}/o?uploadType=multipart",
        data=metadata + b"--x\r\n\r\n" + data + b"\r\n--x--\r\n",
        headers={"Content-Type": "multipart/related; boundary=x"},
        timeout=5,
    )
    assert answer.status_code == 200
    assert harness.objects() == {"/a": data}


def test_generation_preconditions_hold(bucket: storage.Bucket) -> None:
    blob = bucket.blob("a")
    blob.upload_from_string(b"1", retry=None)
    first = blob.generation
    with pytest.raises(PreconditionFailed):
        blob.upload_from_string(b"2", if_generation_match=0, retry=None)
    blob.upload_from_string(b"2", if_generation_match=first, retry=None)
    with pytest.raises(PreconditionFailed):
        blob.delete(if_generation_match=first, retry=None)
    assert blob.download_as_bytes(retry=None) == b"2"
    blob.delete(retry=None)
    with pytest.raises(NotFound):
        blob.reload(retry=None)


def test_permissions_are_checked_and_absence_is_hidden_from_who_may_not_list(
    harness: GcsHarness, bucket: storage.Bucket
) -> None:
    harness.gcs.emulator.create_bucket(BUCKET, {EMAIL: ["storage.objects.get"]})
    with pytest.raises(Forbidden):
        bucket.blob("a").upload_from_string(b"1", retry=None)
    with pytest.raises(Forbidden):
        bucket.blob("a").reload(retry=None)
    assert bucket.test_iam_permissions(["storage.objects.get", "storage.objects.create"], retry=None) == [
        "storage.objects.get"
    ]


class Raw:
    """An upload by hand, for the rules that no client breaks."""

    def __init__(self, harness: GcsHarness) -> None:
        connection = Connection(harness.info, harness.gcs.url)
        connection.fetch_token(5)
        self.headers = {"Authorization": f"Bearer {connection.session.credentials.token}"}
        connection.close()
        begun = requests.post(
            f"{harness.gcs.url}/upload/storage/v1/b/{BUCKET}/o",
            params={"uploadType": "resumable", "name": "raw"},
            headers=self.headers,
            timeout=5,
        )
        self.url = begun.headers["Location"]

    def put(self, data: bytes, content_range: str, **headers: str) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.put(self.url, data=data, headers={"Content-Range": content_range, **named}, timeout=5)


def test_chunks_obey_the_protocol(harness: GcsHarness) -> None:
    raw = Raw(harness)
    data = content(2 * QUARTER_MIB + 1)
    assert raw.put(b"", "bytes */*").headers.get("Range") is None
    assert raw.put(data[:1000], f"bytes 0-999/{len(data)}").status_code == 400, "not a multiple of 256 KiB"
    assert raw.put(data[QUARTER_MIB:], f"bytes {QUARTER_MIB}-{len(data) - 1}/{len(data)}").status_code == 400, "a gap"
    kept = raw.put(data[:QUARTER_MIB], f"bytes 0-{QUARTER_MIB - 1}/*")
    assert (kept.status_code, kept.headers["Range"]) == (308, f"bytes=0-{QUARTER_MIB - 1}")
    go = raw.put(b"", "bytes */*", X_GUploader_No_308="yes")
    assert (go.status_code, go.headers["X-HTTP-Status-Code-Override"]) == (200, "308")
    done = raw.put(data, f"bytes 0-{len(data) - 1}/{len(data)}")
    assert done.json()["md5Hash"] == base64.b64encode(hashlib.md5(data).digest()).decode()
    assert raw.put(b"", f"bytes */{len(data)}").json() == done.json(), "a finished upload answers with its object"


def test_a_cancelled_or_unknown_upload_is_gone(harness: GcsHarness) -> None:
    raw = Raw(harness)
    assert requests.delete(raw.url, timeout=5).status_code == 499
    assert raw.put(b"", "bytes */*").status_code == 404


def test_a_wrong_token_is_refused_and_the_address_alone_suffices(harness: GcsHarness) -> None:
    raw = Raw(harness)
    assert raw.put(b"x", "bytes 0-0/1", Authorization="Bearer wrong").status_code == 401
    assert raw.put(b"x", "bytes 0-0/1").status_code == 200


def test_an_assertion_signed_with_another_key_gets_no_token(harness: GcsHarness) -> None:
    other = harness.gcs.emulator.new_account("other@emulated-project.iam.gserviceaccount.com")
    forged = harness.info | {"private_key": other["private_key"]}
    checks = GcsDestination(BUCKET, forged, harness.gcs.url).test()
    assert [(check.name, check.ok) for check in checks] == [("credentials", False)]


@contextmanager
def started(state: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.emulators.gcs", "--port", "0", "--state", str(state)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    with process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def test_an_upload_goes_on_after_the_emulator_was_killed_and_started_again(tmp_path: Path) -> None:
    data = content(3 * QUARTER_MIB + 1)
    upload = upload_of(data, "/M31/image.fits")
    with started(tmp_path) as url:

        def administer(call: str, **body: Any) -> Any:
            return requests.post(f"{url}/_emulator/{call}", json=body, timeout=10).json()

        info = administer("accounts", email=EMAIL)
        administer("buckets", name=BUCKET)
        first = GcsDestination(BUCKET, info, url, QUARTER_MIB)
        session = send(first, upload, data, first.begin(upload, None), most=2)
        first.close()
        asked = requests.get(f"{url}/_emulator/log", timeout=10).json()["requests"]
        assert [one["method"] for one in asked if "upload_id" in one["path"]] == ["PUT", "PUT"]
    with started(tmp_path) as url:
        second = GcsDestination(BUCKET, info, url, QUARTER_MIB)
        address = session.state["url"]
        moved = Session(session.offset, {"url": url + address[address.index("/upload") :]})
        resumed = second.begin(upload, moved)
        assert resumed.offset == 2 * QUARTER_MIB
        verify(upload, second.finish(upload, send(second, upload, data, resumed)))
        second.close()


def test_faults_can_be_scripted_over_http(harness: GcsHarness) -> None:
    fault = {"method": "GET", "path": "/storage/v1/b", "status": 418, "body": "tea", "times": 1}
    requests.post(f"{harness.gcs.url}/_emulator/faults", json=fault, timeout=5)
    target = f"{harness.gcs.url}/storage/v1/b/{BUCKET}"
    assert [requests.get(target, timeout=5).status_code for _ in range(2)] == [418, 401]
