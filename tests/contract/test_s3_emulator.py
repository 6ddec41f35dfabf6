"""The S3 emulator, judged by the SDK that it stands in for, and through its command line."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from adapters.destinations.hash_match import verify
from application.ports.destination import Session
from tests.contract.destination_harness import content, deliver, send, upload_of
from tests.contract.s3_harness import ACCESS_KEY, BUCKET, LOOPBACK, SECRET_KEY, S3Account, S3Destination, S3Harness

MIB = 1 << 20


def stock_client(url: str, secret_key: str = SECRET_KEY, **config: Any) -> Any:
    """boto3 with its own defaults: its checksums, its uploads."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=secret_key,
        config=Config(retries={"total_max_attempts": 1}, **config),
    )


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[S3Harness]:
    made = S3Harness(tmp_path)
    made.s3.emulator.uploads.least_part = 5 * MIB
    yield made
    made.close()


@pytest.fixture
def client(harness: S3Harness) -> Iterator[Any]:
    made = stock_client(harness.s3.url)
    yield made
    made.close()


def refusal(call: Any, **request: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**request)
    code: str = raised.value.response["Error"]["Code"]
    return code


@pytest.mark.parametrize("size", [0, 1000, 12 * MIB])
def test_the_sdk_s_uploads_and_downloads_agree_with_it(
    harness: S3Harness, client: Any, tmp_path: Path, size: int
) -> None:
    data = content(size)
    (tmp_path / "file").write_bytes(data)
    client.upload_file(str(tmp_path / "file"), BUCKET, "dir name/α*+%25.fits")
    answer = client.get_object(Bucket=BUCKET, Key="dir name/α*+%25.fits")
    assert answer["Body"].read() == data
    assert answer["ETag"].endswith('-2"') == (size > 8 * MIB)
    if size:
        part = client.get_object(Bucket=BUCKET, Key="dir name/α*+%25.fits", Range="bytes=10-19")
        assert part["Body"].read() == data[10:20]


def test_the_smallest_part_is_the_service_s(harness: S3Harness, client: Any) -> None:
    where = {"Bucket": BUCKET, "Key": "a"}
    upload = client.create_multipart_upload(**where)["UploadId"]
    parts = [
        {
            "PartNumber": number,
            "ETag": client.upload_part(**where, UploadId=upload, PartNumber=number, Body=b"x")["ETag"],
        }
        for number in (1, 2)
    ]
    made_of = {"Parts": parts}
    assert (
        refusal(client.complete_multipart_upload, **where, UploadId=upload, MultipartUpload=made_of) == "EntityTooSmall"
    )
    made_of = {"Parts": parts[::-1]}
    assert (
        refusal(client.complete_multipart_upload, **where, UploadId=upload, MultipartUpload=made_of)
        == "InvalidPartOrder"
    )
    made_of = {"Parts": [{"PartNumber": 1, "ETag": "x"}]}
    assert refusal(client.complete_multipart_upload, **where, UploadId=upload, MultipartUpload=made_of) == "InvalidPart"
    client.abort_multipart_upload(**where, UploadId=upload)
    assert refusal(client.list_parts, **where, UploadId=upload) == "NoSuchUpload"


def test_signatures_are_really_checked(harness: S3Harness) -> None:
    where = {"Bucket": BUCKET, "Key": "a", "Body": b"x"}
    assert refusal(stock_client(harness.s3.url, "wrong").put_object, **where) == "SignatureDoesNotMatch"
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(f"{harness.s3.url}/{BUCKET}/a")
    assert raised.value.code == 403
    raised.value.close()
    harness.break_credentials()
    assert refusal(stock_client(harness.s3.url).put_object, **where) == "InvalidAccessKeyId"
    assert harness.objects() == {}


def test_checksums_and_conditions_hold(harness: S3Harness, client: Any) -> None:
    where = {"Bucket": BUCKET, "Key": "a"}
    assert refusal(client.put_object, **where, Body=b"x", ContentMD5="AAAAAAAAAAAAAAAAAAAAAA==") == "BadDigest"
    assert refusal(client.put_object, **where, Body=b"x", ChecksumCRC32C="AAAAAA==") == "BadDigest"
    client.put_object(**where, Body=b"1", IfNoneMatch="*")
    assert refusal(client.put_object, **where, Body=b"2", IfNoneMatch="*") == "PreconditionFailed"
    assert refusal(client.delete_object, **where, IfMatch='"other"') == "PreconditionFailed"
    assert harness.objects() == {"/a": b"1"}
    client.delete_object(**where, IfMatch=f'"{hashlib.md5(b"1").hexdigest()}"')
    assert refusal(client.get_object, **where) == "NoSuchKey"


@pytest.mark.parametrize("upload_checksum", ["when_supported", "when_required"])
def test_a_checksum_of_the_whole_is_compared_at_the_end(harness: S3Harness, upload_checksum: str) -> None:
    client = stock_client(harness.s3.url, request_checksum_calculation=upload_checksum)
    where = {"Bucket": BUCKET, "Key": "a"}
    upload = client.create_multipart_upload(**where, ChecksumAlgorithm="CRC32C", ChecksumType="FULL_OBJECT")["UploadId"]
    part = client.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"123456789", ChecksumCRC32C="4waSgw==")
    made_of = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    named = {**where, "UploadId": upload, "MultipartUpload": made_of, "ChecksumType": "FULL_OBJECT"}
    assert refusal(client.complete_multipart_upload, **named, ChecksumCRC32C="AAAAAA==") == "BadDigest"
    assert harness.objects() == {}
    client.complete_multipart_upload(**named, ChecksumCRC32C="4waSgw==")
    head = client.head_object(**where, ChecksumMode="ENABLED")
    assert (head["ChecksumCRC32C"], head["ChecksumType"]) == ("4waSgw==", "FULL_OBJECT")
    client.close()


def test_lists_come_in_pages_and_by_prefix(client: Any) -> None:
    for name in ("a/1", "a/2", "a/3", "b/1"):
        client.put_object(Bucket=BUCKET, Key=name, Body=b"x")
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket=BUCKET, Prefix="a/", PaginationConfig={"PageSize": 2}
    )
    assert [one["Key"] for page in pages for one in page["Contents"]] == ["a/1", "a/2", "a/3"]


@pytest.mark.parametrize("version", ["list_objects", "list_objects_v2"])
def test_folders_are_listed_once_and_count_in_pages(client: Any, version: str) -> None:
    for name in ("in/α +%/1", "in/α +%/2", "in/b", "in/c/1", "in/c/2", "in/é"):
        client.put_object(Bucket=BUCKET, Key=name, Body=b"x")
    pages = client.get_paginator(version).paginate(
        Bucket=BUCKET, Prefix="in/", Delimiter="/", PaginationConfig={"PageSize": 2}
    )
    found = [
        (
            [one["Key"] for one in page.get("Contents", [])],
            [one["Prefix"] for one in page.get("CommonPrefixes", [])],
        )
        for page in pages
    ]
    assert found == [(["in/b"], ["in/c/"]), (["in/é"], ["in/α +%/"])]


def test_s53_an_object_of_several_parts_tells_its_md5_where_rclone_looks_for_it(
    harness: S3Harness, client: Any
) -> None:
    data = content(11 * MIB)
    deliver(harness.open(5 * MIB), upload_of(data, "/x.fits"), data)
    head = client.head_object(Bucket=BUCKET, Key="x.fits")
    assert head["ETag"].endswith('-3"')
    assert base64.b64decode(head["Metadata"]["md5chksum"]) == hashlib.md5(data).digest()


def test_it_outlives_a_kill_in_the_middle_of_an_upload(tmp_path: Path) -> None:
    data = content(3 * MIB)
    upload = upload_of(data, "/x.fits")
    session: Session | None = None
    for _ in range(2):
        command = [sys.executable, "-m", "tests.emulators.s3", "--state", str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            url = process.stdout.readline().strip()
            account = S3Account(url, "", ACCESS_KEY, SECRET_KEY, LOOPBACK)
            destination = S3Destination(account, BUCKET, chunk_size=MIB)
            if session is None:
                _administer(url, "keys", access_key=ACCESS_KEY, secret_key=SECRET_KEY)
                _administer(url, "buckets", name=BUCKET)
                session = send(destination, upload, data, destination.begin(upload, None), most=2)
            else:
                _administer(url, "settings", least_part=MIB)
                resumed = destination.begin(upload, session)
                assert resumed.offset == 2 * MIB
                verify(upload, destination.finish(upload, send(destination, upload, data, resumed)))
            account.close()
            process.kill()


def _administer(url: str, call: str, **given: Any) -> None:
    request = urllib.request.Request(f"{url}/_emulator/{call}", json.dumps(given).encode(), method="POST")
    urllib.request.urlopen(request).close()
