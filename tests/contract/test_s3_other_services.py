"""The S3 destination at a service that isn't ours: moto, which others wrote after Amazon's. (It checks no signatures.)

Without an optional library moto calls a CRC-32 a CRC-32C: then the bytes are read back. Both ways are tested.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from types import SimpleNamespace
from typing import Any

import google_crc32c
import msgspec
import pytest

from adapters.destinations.hash_match import verify
from adapters.destinations.s3 import S3Destination
from adapters.destinations.s3_account import S3Account
from application.ports.destination import Session
from domain.errors import GiveUp
from tests.contract.destination_harness import content, deliver, send, upload_of
from tests.contract.s3_harness import LOOPBACK
from tests.s3_emulator import ACCESS_KEY, SECRET_KEY, S3Emulator, running_s3

PART = 5 << 20
SIZES = [0, 2 * PART + 1000]


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Emulator]:
    with running_s3() as emulator:
        yield emulator


@pytest.fixture(params=["", "Enabled"], ids=["plain", "versioned"])
def bucket(moto: S3Emulator, request: pytest.FixtureRequest) -> str:
    return moto.new_bucket(versioning=request.param)


@pytest.fixture(params=[True, False], ids=["CRC-32C", "CRC-32"])
def computes_crc32c(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    library = SimpleNamespace(crc32c=google_crc32c.value, __spec__=ModuleSpec("crc32c", None))
    monkeypatch.setitem(sys.modules, "crc32c", library if request.param else None)
    return bool(request.param)


@pytest.fixture
def destination(moto: S3Emulator, bucket: str) -> Iterator[S3Destination]:
    account = S3Account(moto.endpoint, "us-east-1", ACCESS_KEY, SECRET_KEY, LOOPBACK)
    yield S3Destination(account, bucket, PART)
    account.close()


def content_at(moto: S3Emulator, bucket: str, key: str) -> Any:
    return moto.client.get_object(Bucket=bucket, Key=key)["Body"].read()


@pytest.mark.parametrize("size", SIZES)
def test_a_file_arrives_once_is_found_and_is_removed(
    moto: S3Emulator, bucket: str, destination: S3Destination, size: int, computes_crc32c: bool
) -> None:
    data = content(size)
    upload = upload_of(data, "/M 31/α*+%25.fits")
    arrived = deliver(destination, upload, data)
    verify(upload, arrived)
    read_back = size > PART and not computes_crc32c
    assert ("md5" in arrived.hashes) == (size <= PART or read_back)
    assert content_at(moto, bucket, "M 31/α*+%25.fits") == data
    found = destination.find(upload)
    assert found is not None
    assert found.remote_id == arrived.remote_id
    verify(upload, found)
    again = deliver(destination, upload, data)
    assert again.remote_id == arrived.remote_id
    other = upload_of(b"other", upload.path)
    with pytest.raises(GiveUp, match="Another file"):
        deliver(destination, other, b"other")
    destination.remove(arrived)
    assert destination.find(upload) is None
    destination.remove(arrived)
    assert moto.client.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


def test_another_process_goes_on_and_abandoning_leaves_nothing(
    moto: S3Emulator, bucket: str, destination: S3Destination
) -> None:
    data = content(2 * PART + 1000)
    upload = upload_of(data, "/x.fits")
    session = send(destination, upload, data, destination.begin(upload, None), most=1)
    kept = msgspec.json.decode(msgspec.json.encode(session), type=Session)
    other = S3Destination(destination._account, bucket, PART)
    resumed = other.begin(upload, kept)
    assert resumed.offset == PART
    verify(upload, other.finish(upload, send(other, upload, data, resumed)))
    assert content_at(moto, bucket, "x.fits") == data
    beyond = upload_of(data, "/y.fits")
    session = send(destination, beyond, data, destination.begin(beyond, None), most=1)
    destination.abandon(beyond, session)
    destination.abandon(beyond, session)
    assert moto.client.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


def test_the_connection_test_passes(destination: S3Destination) -> None:
    assert [(check.name, check.ok, check.reason) for check in destination.test()] == [
        ("credentials", True, ""),
        ("destination", True, ""),
        ("upload", True, ""),
    ]
