"""adapters.destinations.s3_errors: the classification table, case by case; and the arithmetic of checksums."""

from __future__ import annotations

from datetime import UTC, datetime

import google_crc32c
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ParamValidationError,
    ReadTimeoutError,
    SSLError,
)
from botocore.parsers import ResponseParserError

from adapters.destinations.s3_contents import equal_hashes, etag_of_parts, joined_crc32c
from adapters.destinations.s3_errors import classify
from domain.errors import ChecksumMismatch, DestinationPaused, GiveUp, NeedsAuthorization, RetryLater, StarferryError
from tests.contract.destination_harness import content, upload_of

NOW = datetime(2026, 3, 1, 22, 30, 0, tzinfo=UTC)
SECRET = "https://s3.example.org/x?uploadId=capability"


def reply(status: int, code: str, **headers: str) -> ClientError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": named}
    return ClientError({"Error": {"Code": code, "Message": SECRET}, "ResponseMetadata": metadata}, "PutObject")  # type: ignore[arg-type,typeddict-item]


@pytest.mark.parametrize(
    ("exc", "kind"),
    [
        (reply(403, "InvalidAccessKeyId"), NeedsAuthorization),
        (reply(403, "SignatureDoesNotMatch"), NeedsAuthorization),
        (reply(400, "ExpiredToken"), NeedsAuthorization),
        (reply(401, "Unauthorized"), NeedsAuthorization),
        (reply(403, "AccessDenied"), GiveUp),
        (reply(404, "NoSuchBucket"), GiveUp),
        (reply(301, "PermanentRedirect"), GiveUp),
        (reply(400, "AuthorizationHeaderMalformed"), GiveUp),
        (reply(400, "KeyTooLongError"), GiveUp),
        (reply(400, "InvalidBucketName"), GiveUp),
        (reply(400, "EntityTooSmall"), GiveUp),
        (reply(412, "PreconditionFailed"), GiveUp),
        (reply(403, "QuotaExceeded"), DestinationPaused),
        (reply(507, "XMinioStorageFull"), DestinationPaused),
        (reply(400, "XMinioAdminBucketQuotaExceeded"), DestinationPaused),
        (reply(403, "AccountProblem"), DestinationPaused),
        (reply(400, "BadDigest"), ChecksumMismatch),
        (reply(400, "XAmzContentSHA256Mismatch"), ChecksumMismatch),
        (reply(503, "SlowDown"), RetryLater),
        (reply(400, "RequestTimeout"), RetryLater),
        (reply(403, "RequestTimeTooSkewed"), RetryLater),
        (reply(409, "ConditionalRequestConflict"), RetryLater),
        (reply(404, "NoSuchUpload"), RetryLater),
        (reply(400, "InvalidPart"), RetryLater),
        (reply(429, "TooManyRequests"), RetryLater),
        (reply(500, "InternalError"), RetryLater),
        (reply(501, "NotImplemented"), RetryLater),
        (reply(403, "403"), RetryLater),
        (reply(404, "404"), RetryLater),
        (reply(403, ""), RetryLater),
        (reply(403, "<html>"), RetryLater),
        (ConnectTimeoutError(endpoint_url=SECRET), RetryLater),
        (ReadTimeoutError(endpoint_url=SECRET), RetryLater),
        (EndpointConnectionError(endpoint_url=SECRET), RetryLater),
        (ConnectionClosedError(endpoint_url=SECRET), RetryLater),
        (SSLError(endpoint_url=SECRET, error=SECRET), RetryLater),
        (HTTPClientError(error=GiveUp("The endpoint isn't public.")), GiveUp),
        (HTTPClientError(error=ValueError(SECRET)), RetryLater),
        (ParamValidationError(report=SECRET), GiveUp),
        (ResponseParserError(SECRET), RetryLater),
        (KeyError(SECRET), RetryLater),
    ],
)
def test_each_fault_has_one_meaning_and_shows_nothing(exc: Exception, kind: type[StarferryError]) -> None:
    error = classify(exc, NOW)
    assert type(error) is kind
    assert str(error).endswith(".")
    assert "capability" not in f"{error} {error!r}"
    assert "example.org" not in str(error)


@pytest.mark.parametrize(
    ("header", "seconds"), [("42", 42.0), ("Sun, 01 Mar 2026 22:31:00 GMT", 60.0), ("nonsense", None), (None, None)]
)
def test_retry_after_is_passed_on(header: str | None, seconds: float | None) -> None:
    exc = reply(503, "SlowDown", **({"retry_after": header} if header else {}))
    error = classify(exc, NOW)
    assert isinstance(error, RetryLater)
    assert error.retry_after == seconds


@pytest.mark.parametrize("cut", [0, 1, 7, 5000, 99_999, 100_000])
def test_the_checksums_of_two_pieces_make_that_of_the_whole(cut: int) -> None:
    data = content(100_000)
    first, second = google_crc32c.value(data[:cut]), google_crc32c.value(data[cut:])
    assert joined_crc32c(first, second, len(data) - cut) == google_crc32c.value(data)


def test_the_etag_of_parts_is_the_one_that_s3_documents() -> None:
    # two parts, "a" and "b": md5(unhex(md5("a")) + unhex(md5("b"))), computed with coreutils
    etags = ["0cc175b9c0f1b6a831c399e269772661", "92eb5ffee6ae2fec3ad71c777531578f"]
    assert etag_of_parts(etags) == "96e024ba2074fe77e8e965ba43a704be-2"


@pytest.mark.parametrize(
    ("answer", "hashes"),
    [
        ({"ETag": '"{md5}"'}, {"md5"}),
        ({"ETag": '"0123456789abcdef0123456789abcdef"'}, set()),
        ({"ETag": '"{md5}-2"'}, set()),
        ({"ETag": '"x"', "ChecksumCRC32C": "4waSgw==", "ChecksumType": "FULL_OBJECT"}, {"crc32c"}),
        ({"ETag": '"x"', "ChecksumCRC32C": "4waSgw=="}, {"crc32c"}),
        ({"ETag": '"{md5}"', "ChecksumCRC32C": "AAAAAA=="}, {"md5"}),
        ({"ETag": '"x"', "ChecksumCRC32C": "4waSgw==", "ChecksumType": "COMPOSITE"}, set()),
        ({"ETag": '"x"', "ChecksumCRC32C": "4waSgw==-3"}, set()),
        ({}, set()),
    ],
)
def test_only_a_checksum_of_the_whole_object_that_equals_ours_proves_anything(
    answer: dict[str, str], hashes: set[str]
) -> None:
    upload = upload_of(b"123456789", "/x.fits")
    told = equal_hashes({name: value.format(md5=upload.hashes.md5) for name, value in answer.items()}, upload)
    assert set(told) == hashes
    assert all(value == getattr(upload.hashes, name) for name, value in told.items())
