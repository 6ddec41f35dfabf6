"""What the S3 store promises beyond the contract: headers, classes, versions, large files, faults of the service."""

from __future__ import annotations

import hashlib
import os
import threading
import tracemalloc
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from adapters.file_store import s3_multipart
from adapters.file_store.s3 import S3Store
from adapters.file_store.s3_settings import S3Settings
from application.ports.file_store import Stored
from domain.errors import GiveUp, Misconfigured, NotFound, RetryLater, StarferryError
from tests.s3_emulator import SECRET_KEY, S3Emulator, running_s3

NOW = datetime(2026, 5, 1, tzinfo=UTC)
MIB = 1024 * 1024


class May2026:
    def now(self) -> datetime:
        return NOW


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Emulator]:
    with running_s3() as emulator:
        yield emulator


@pytest.fixture
def bucket(s3: S3Emulator) -> str:
    return s3.new_bucket()


@pytest.fixture
def store(s3: S3Emulator, bucket: str, tmp_path: Path) -> S3Store:
    return S3Store(s3.settings(bucket), spool=tmp_path, clock=May2026(), single_put_up_to=8 * MIB)


def keep(store: S3Store, data: bytes, path: str = "tst/x.fits", **other: Any) -> Stored:
    with store.staging() as staging:
        for start in range(0, len(data), MIB):
            staging.write(data[start : start + MIB])
        return store.keep(staging.finish(), path, **{"filename": "x.fits"} | other)


def test_h04_an_object_has_disposition_type_and_our_hashes(s3: S3Emulator, store: S3Store, bucket: str) -> None:
    stored = keep(store, b"bytes", content_type="application/fits", filename="tst-x00.fits")
    head = s3.client.head_object(Bucket=bucket, Key=stored.path, VersionId=stored.key)
    assert head["ContentDisposition"] == "attachment; filename=tst-x00.fits"
    assert head["ContentType"] == "application/fits"
    assert head["Metadata"]["sha256"] == hashlib.sha256(b"bytes").hexdigest()
    assert head["ETag"] == f'"{hashlib.md5(b"bytes").hexdigest()}"'


@pytest.mark.parametrize("filename", ['a"b\\c.fits', "Grüße.fits", "two words.fits", "line\r\nX-Evil: 1.fits"])
def test_odd_file_names_can_be_kept_and_add_no_header(
    s3: S3Emulator, store: S3Store, bucket: str, filename: str
) -> None:
    stored = keep(store, b"bytes", filename=filename)
    head = s3.client.head_object(Bucket=bucket, Key=stored.path)
    assert head["ContentDisposition"].startswith("attachment; filename=")
    assert "x-evil" not in head["ResponseMetadata"]["HTTPHeaders"]
    with urllib.request.urlopen(store.url(stored.path, stored.key, filename=filename)) as answer:
        assert answer.read() == b"bytes"


@pytest.mark.parametrize(
    ("age", "days", "expected"),
    [
        (timedelta(days=59), 60, "STANDARD"),
        (timedelta(days=61), 60, "STANDARD_IA"),
        (timedelta(days=2), 1, "STANDARD_IA"),
        (timedelta(days=4000), None, "STANDARD"),
        (None, 60, "STANDARD"),
    ],
)
def test_h04_old_observations_go_to_the_cheaper_class(
    s3: S3Emulator, bucket: str, tmp_path: Path, age: timedelta | None, days: int | None, expected: str
) -> None:
    store = S3Store(s3.settings(bucket, days_to_ia=days), spool=tmp_path, clock=May2026())
    stored = keep(store, b"bytes", observed=None if age is None else NOW - age)
    assert s3.client.head_object(Bucket=bucket, Key=stored.path).get("StorageClass", "STANDARD") == expected


def test_an_object_put_there_by_an_ocs_client_is_adopted(s3: S3Emulator, store: S3Store, bucket: str) -> None:
    version = s3.client.put_object(Bucket=bucket, Key="tst/x.fits", Body=b"bytes")["VersionId"]
    assert keep(store, b"bytes") == Stored(path="tst/x.fits", key=version)


def test_a_path_that_begins_like_another_is_not_mistaken_for_it(store: S3Store) -> None:
    keep(store, b"one!", "tst/x.fits")
    longer = keep(store, b"two!", "tst/x.fits.fz")
    assert keep(store, b"two!", "tst/x.fits") != longer


@pytest.mark.parametrize("versioning", ["", "Suspended"])
def test_h04_a_bucket_without_versions_is_refused_before_anything_is_written(
    s3: S3Emulator, tmp_path: Path, versioning: str
) -> None:
    bucket = s3.new_bucket(versioning=versioning)
    s3.client.put_object(Bucket=bucket, Key="tst/x.fits", Body=b"precious")
    store = S3Store(s3.settings(bucket), spool=tmp_path, clock=May2026())
    with pytest.raises(Misconfigured, match="switch versioning on"):
        store.check()
    with pytest.raises(Misconfigured, match="switch versioning on"):
        keep(store, b"bytes")
    assert s3.client.get_object(Bucket=bucket, Key="tst/x.fits")["Body"].read() == b"precious"


def test_a_large_file_goes_in_parts_with_bounded_memory(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    upload_part = store._client.upload_part
    # the emulator lives in this process too and holds what it receives: count only what the sender read
    sender = tracemalloc.Filter(True, s3_multipart.__file__)

    def measured(**part: Any) -> Any:
        held.append(sum(t.size for t in tracemalloc.take_snapshot().filter_traces([sender]).statistics("filename")))
        return upload_part(**part)

    monkeypatch.setattr(store._client, "upload_part", measured)
    data = os.urandom(MIB) * 35 + b"tail"
    tracemalloc.start()
    try:
        stored = keep(store, data)
    finally:
        tracemalloc.stop()
    assert len(held) == 5
    assert s3_multipart.PART <= max(held) <= s3_multipart.THREADS * s3_multipart.PART + MIB
    assert store.size(stored.path, stored.key) == len(data)
    with store.open(stored.path, stored.key) as reader:
        assert hashlib.sha256(reader.read()).digest() == hashlib.sha256(data).digest()
    assert keep(store, data) == stored


def test_a_failed_large_upload_leaves_no_parts_behind(
    s3: S3Emulator, store: S3Store, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object, **__: object) -> None:
        raise OSError(5, "the spool's disk failed")

    with store.staging() as staging:
        staging.write(b"x" * (9 * MIB))
        staged = staging.finish()
        monkeypatch.setattr(store._client, "upload_part", lost)
        with pytest.raises(RetryLater):
            store.keep(staged, "tst/x.fits", filename="x.fits")
    assert not s3.client.list_multipart_uploads(Bucket=bucket).get("Uploads")
    assert not s3.client.list_object_versions(Bucket=bucket).get("Versions")


def test_h07_a_link_serves_its_version_under_the_name_asked_for_and_not_the_newest(store: S3Store) -> None:
    first = keep(store, b"first")
    keep(store, b"second")
    with urllib.request.urlopen(store.url(first.path, first.key, filename="nice.fits")) as answer:
        assert answer.read() == b"first"
        assert answer.headers["Content-Disposition"] == "attachment; filename=nice.fits"


def test_a_link_never_asks_for_more_life_than_a_signature_can_have(store: S3Store) -> None:
    assert "X-Amz-Expires=604800" in store.url("a/x.fits", "v", filename="x.fits", expires=10_000_000)


@pytest.mark.parametrize(("style", "host"), [("virtual", "frames.s3.eu-west-1."), ("path", "s3.eu-west-1.")])
def test_h05_addressing_style_and_the_region_of_the_endpoint_are_in_the_link(
    tmp_path: Path, style: str, host: str
) -> None:
    settings = S3Settings(
        bucket="frames",
        endpoint="https://s3.eu-west-1.amazonaws.com",
        access_key="AKIA",
        secret_key=SECRET_KEY,
        addressing_style=style,
    )
    url = S3Store(settings, spool=tmp_path, clock=May2026()).url("a/x.fits", "v1", filename="x.fits")
    assert url.startswith(f"https://{host}")
    assert ("/frames/a/x.fits" in url) == (style == "path")
    assert "%2Feu-west-1%2Fs3" in url
    assert "versionId=v1" in url


@pytest.mark.parametrize(("version", "sign"), [("s3v4", "X-Amz-Signature"), ("s3", "AWSAccessKeyId")])
def test_h05_links_are_signed_by_the_version_that_is_set(
    s3: S3Emulator, bucket: str, tmp_path: Path, version: str, sign: str
) -> None:
    store = S3Store(s3.settings(bucket, signature_version=version), spool=tmp_path, clock=May2026())
    stored = keep(store, b"bytes")
    url = store.url(stored.path, stored.key, filename="x.fits")
    assert sign in url
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"bytes"


def test_a_reader_fetches_only_near_what_is_read(s3: S3Emulator, store: S3Store) -> None:
    stored = keep(store, os.urandom(6 * MIB))
    ranges: list[str] = []
    store._client.meta.events.register(
        "before-send.s3.GetObject", lambda request, **_: ranges.append(request.headers["Range"].decode())
    )
    with store.open(stored.path, stored.key) as reader:
        reader.read(2880)
        reader.seek(5 * MIB)
        reader.read(2880)
    assert ranges == [f"bytes=0-{MIB - 1}", f"bytes={5 * MIB}-{6 * MIB - 1}"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": "s3.example.org"},
        {"endpoint": "http://user:word@127.0.0.1"},
        {"endpoint": "http://[broken"},
        {"bucket": ""},
        {"addressing_style": "curved"},
        {"signature_version": "v99"},
        {"secret_key": ""},
        {"days_to_ia": -1},
    ],
)
def test_h05_settings_that_cannot_be_right_are_refused(wrong: dict[str, Any]) -> None:
    given: dict[str, Any] = {"bucket": "frames", "access_key": "AKIA", "secret_key": SECRET_KEY}
    with pytest.raises(Misconfigured) as fault:
        S3Settings(**given | wrong)
    assert "word@" not in str(fault.value)
    assert SECRET_KEY not in str(fault.value)


def test_the_settings_show_no_keys() -> None:
    shown = repr(S3Settings(bucket="frames", access_key="AKIAVISIBLE", secret_key=SECRET_KEY))
    assert SECRET_KEY not in shown
    assert "AKIAVISIBLE" not in shown


class Faulty(ThreadingHTTPServer):
    """Answers every request with one fault and counts them."""

    http, code, asked, headers = 500, "InternalError", 0, ("X-None", "1")


class FaultyAnswers(BaseHTTPRequestHandler):
    server: Faulty

    def answer(self) -> None:
        self.server.asked += 1
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = f"<Error><Code>{self.server.code}</Code><Message>no</Message></Error>".encode()
        self.send_response(self.server.http)
        self.send_header("Content-Length", str(len(body)))
        self.send_header(*self.server.headers)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def faulty() -> Iterator[Faulty]:
    server = Faulty(("127.0.0.1", 0), FaultyAnswers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def faulty_store(faulty: Faulty, spool: Path) -> S3Store:
    settings = S3Settings(
        bucket="frames",
        endpoint=f"http://127.0.0.1:{faulty.server_port}",
        access_key="AKIAOBSERVATORY",
        secret_key=SECRET_KEY,
        addressing_style="path",
    )
    return S3Store(settings, spool=spool, clock=May2026())


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore pauses between its attempts: not here."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)


@pytest.mark.usefixtures("no_pause")
@pytest.mark.parametrize(
    ("http", "code", "expected"),
    [
        (500, "InternalError", RetryLater),
        (503, "SlowDown", RetryLater),
        (502, "", RetryLater),
        (507, "XMinioStorageFull", RetryLater),
        (404, "NoSuchBucket", Misconfigured),
        (403, "AccessDenied", Misconfigured),
        (403, "InvalidAccessKeyId", Misconfigured),
        (403, "SignatureDoesNotMatch", Misconfigured),
        (403, "RequestTimeTooSkewed", Misconfigured),
        (400, "AuthorizationHeaderMalformed", Misconfigured),
        (404, "NoSuchKey", NotFound),
        (404, "NoSuchVersion", NotFound),
        (400, "InvalidArgument", NotFound),
        (412, "PreconditionFailed", GiveUp),
    ],
)
def test_h10_each_fault_of_the_service_is_classed_by_what_to_do_next(
    faulty: Faulty, tmp_path: Path, http: int, code: str, expected: type[StarferryError]
) -> None:
    faulty.http, faulty.code = http, code
    store = faulty_store(faulty, tmp_path)
    with pytest.raises(expected) as fault:
        store.size("a/x.fits", "v1")
    for told in (str(fault.value), repr(fault.value.__cause__)):
        assert SECRET_KEY not in told
        assert "AKIAOBSERVATORY" not in told


@pytest.mark.usefixtures("no_pause")
def test_the_client_tries_three_times_and_no_more(faulty: Faulty, tmp_path: Path) -> None:
    store = faulty_store(faulty, tmp_path)
    faulty.headers = ("Retry-After", "7")
    with pytest.raises(RetryLater) as fault:
        store.delete("a/x.fits", "v1")
    assert faulty.asked == 3
    assert fault.value.retry_after == 7


@pytest.mark.usefixtures("no_pause")
def test_keeping_at_a_service_out_of_order_may_be_tried_later(faulty: Faulty, tmp_path: Path) -> None:
    with pytest.raises(RetryLater):
        keep(faulty_store(faulty, tmp_path), b"bytes")


@pytest.mark.usefixtures("no_pause")
def test_h10_a_service_that_is_not_there_may_be_tried_later(faulty: Faulty, tmp_path: Path) -> None:
    store = faulty_store(faulty, tmp_path)
    faulty.server_close()
    with pytest.raises(RetryLater, match="can't be reached"):
        store.open("a/x.fits", "v1")


def test_h10_a_missing_bucket_is_a_setting_to_mend_not_a_missing_file(s3: S3Emulator, tmp_path: Path) -> None:
    store = S3Store(s3.settings("no-such-bucket"), spool=tmp_path, clock=May2026())
    for ask in (store.open, store.size):
        with pytest.raises(Misconfigured, match="BUCKET"):
            ask("a/x.fits", "v1")
    with pytest.raises(Misconfigured, match="BUCKET"):
        keep(store, b"bytes")
