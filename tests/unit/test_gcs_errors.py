"""adapters.destinations.gcs_errors: the classification table, case by case."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from google.api_core.exceptions import from_http_response
from google.auth.exceptions import RefreshError, TransportError

from adapters.destinations.gcs_errors import UnexpectedReply, classify
from domain.errors import ChecksumMismatch, DestinationPaused, GiveUp, NeedsAuthorization, RetryLater, StarferryError

NOW = datetime(2026, 3, 1, 22, 30, 0, tzinfo=UTC)
SECRET = "upload_id=AHxI1nN-capability"


def reply(status: int, body: str, **headers: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response._content = body.encode()
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    response.request = requests.Request("PUT", f"https://storage.googleapis.com/x?{SECRET}").prepare()
    response.url = str(response.request.url)
    return response


def google(status: int, reason: str, message: str = SECRET, **headers: str) -> requests.Response:
    error = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
    return reply(status, json.dumps({"error": error}), Content_Type="application/json", **headers)


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (google(400, "invalid"), GiveUp),
        (google(400, "invalid", 'Provided CRC32C "AA==" doesn\'t match calculated CRC32C "BB==".'), ChecksumMismatch),
        (google(400, "invalid", "Provided MD5 hash doesn't match calculated MD5 hash"), ChecksumMismatch),
        (google(401, "authError"), NeedsAuthorization),
        (google(403, "forbidden"), GiveUp),
        (google(403, "rateLimitExceeded"), RetryLater),
        (google(403, "userRateLimitExceeded"), RetryLater),
        (google(403, "userProjectAccountProblem"), DestinationPaused),
        (google(403, "accountDisabled"), DestinationPaused),
        (google(403, "quotaExceeded"), DestinationPaused),
        (google(403, "dailyLimitExceeded"), DestinationPaused),
        (google(403, "somethingNew"), RetryLater),
        (google(404, "notFound"), GiveUp),
        (google(408, "timeout"), RetryLater),
        (google(409, "conflict"), RetryLater),
        (google(412, "conditionNotMet"), GiveUp),
        (google(429, "rateLimitExceeded"), RetryLater),
        (google(500, "backendError"), RetryLater),
        (google(503, "backendError"), RetryLater),
        (reply(403, "<html>Blocked by the proxy</html>", Content_Type="text/html"), RetryLater),
        (reply(404, "<html>Not here</html>", Content_Type="text/html"), RetryLater),
        (reply(400, "[]", Content_Type="application/json"), RetryLater),
        (reply(404, '{"error": "x"}', Content_Type="application/json"), RetryLater),
        (reply(404, "Not Found", Content_Type="text/plain", X_GUploader_UploadID="x"), GiveUp),
        (reply(302, "", Location="http://login.example/"), RetryLater),
    ],
)
def test_a_reply_is_classed_by_what_to_do_next(response: requests.Response, kind: type[StarferryError]) -> None:
    fault = classify(UnexpectedReply(response), NOW)
    assert type(fault) is kind
    assert SECRET not in str(fault)
    assert str(fault).endswith(".")


def test_the_sdk_s_own_exceptions_are_classed_alike_and_lose_their_address() -> None:
    exc = from_http_response(google(403, "forbidden"))
    assert SECRET in str(exc)
    fault = classify(exc, NOW)
    assert type(fault) is GiveUp
    assert SECRET not in str(fault)


@pytest.mark.parametrize(
    ("details", "kind", "says"),
    [
        ({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, NeedsAuthorization, "key"),
        (
            {"error": "invalid_grant", "error_description": "Invalid grant: account not found"},
            NeedsAuthorization,
            "key",
        ),
        (
            {"error": "invalid_grant", "error_description": "… short-lived token and in a reasonable timeframe …"},
            NeedsAuthorization,
            "clock",
        ),
        ({"error": "invalid_client"}, NeedsAuthorization, "service account"),
        ({"error": "internal_failure"}, RetryLater, "token service"),
        ("<html>bad gateway</html>", RetryLater, "token service"),
    ],
)
def test_only_the_content_of_a_refused_refresh_says_that_the_key_is_dead(
    details: Any, kind: type[StarferryError], says: str
) -> None:
    fault = classify(RefreshError("refused", details, retryable=False), NOW)
    assert type(fault) is kind
    assert says in str(fault)


@pytest.mark.parametrize(
    "exc",
    [
        requests.ConnectionError(SECRET),
        requests.ReadTimeout(SECRET),
        requests.TooManyRedirects(SECRET),
        TransportError(SECRET),
        RefreshError(SECRET),
        ValueError(SECRET),
        KeyError("access_token"),
        json.JSONDecodeError(SECRET, "", 0),
    ],
)
def test_what_is_not_understood_is_tried_again_without_its_text(exc: Exception) -> None:
    fault = classify(exc, NOW)
    assert type(fault) is RetryLater
    assert SECRET not in str(fault)


@pytest.mark.parametrize(
    ("header", "seconds"), [("17", 17.0), ("Sun, 01 Mar 2026 22:40:00 GMT", 600.0), ("junk", None)]
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_travels_with_the_error(header: str, seconds: float | None, status: int) -> None:
    fault = classify(UnexpectedReply(google(status, "backendError", Retry_After=header)), NOW)
    assert isinstance(fault, RetryLater)
    assert fault.retry_after == seconds


def test_a_daily_limit_is_probed_at_the_next_utc_midnight() -> None:
    fault = classify(UnexpectedReply(google(403, "dailyLimitExceeded")), NOW)
    assert isinstance(fault, DestinationPaused)
    assert fault.probe_after == 90 * 60
