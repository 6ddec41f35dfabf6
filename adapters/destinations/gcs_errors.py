"""What Google Cloud Storage's faults mean: the only place where they are classified.

Status and `error.errors[].reason` come from the JSON API's error format. A reply that isn't in that format was not
written by Google but by something on the way, and passes. No text of an exception is passed on: the SDK's messages
hold request addresses, and with them an upload's id, which lets anybody write.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import requests
from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import MalformedError, RefreshError

from adapters.destinations.classifying import classifying
from adapters.destinations.google_replies import error_in, reason_of, seconds_to_midnight
from adapters.destinations.retry_after import seconds_to_wait
from domain.errors import (
    ChecksumMismatch,
    DestinationPaused,
    GiveUp,
    NeedsAuthorization,
    RetryLater,
    StarferryError,
)

_RATE = {"rateLimitExceeded", "userRateLimitExceeded"}
_BILLING = {"userProjectAccountProblem", "accountDisabled", "billingDisabled"}
_QUOTA = {"quotaExceeded", "storageQuotaExceeded"}
_REFUSED = {"forbidden", "insufficientPermissions", "userProjectMissing", "retentionPolicyNotMet"}
_NEW_KEY = "put in a new service-account key"


class UnexpectedReply(Exception):
    """A reply that the resumable protocol doesn't provide for. Its text holds the status and no address."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__(f"status {response.status_code}")
        self.response = response


def classify(exc: Exception, now: datetime | None = None) -> StarferryError:
    """The error to raise for `exc`; `now` (aware, default the present) is what Retry-After dates count from."""
    now = now or datetime.now(UTC)
    if isinstance(exc, RefreshError):
        return _credentials(exc)
    if isinstance(exc, MalformedError):
        return NeedsAuthorization(f"The service-account key can't be read; {_NEW_KEY}.")
    response = getattr(exc, "response", None)
    if isinstance(response, requests.Response):
        return _reply(response, now)
    if isinstance(exc, GoogleAPICallError):
        return RetryLater(f"Google Cloud Storage answered with status {exc.code}.")
    if isinstance(exc, requests.Timeout):
        return RetryLater("Google Cloud Storage did not answer in time.")
    if isinstance(exc, requests.RequestException):
        return RetryLater("The connection to Google Cloud Storage failed.")
    return RetryLater("Google Cloud Storage could not be reached, or its answer could not be understood.")


classified = classifying(classify)


def _credentials(exc: RefreshError) -> StarferryError:
    """Only the content tells a dead key from a passing fault: the SDK's `retryable` is not dependable."""
    details = exc.args[1] if len(exc.args) > 1 and isinstance(exc.args[1], Mapping) else {}
    match details.get("error"):
        case "invalid_grant" if "reasonable timeframe" in str(details.get("error_description")):
            return NeedsAuthorization(
                "Google refused the service account because this server's clock is wrong; ask the operator to set it."
            )
        case "invalid_grant":
            return NeedsAuthorization(f"Google no longer accepts the service-account key; {_NEW_KEY}.")
        case "invalid_client" | "unauthorized_client" | "access_denied" | "deleted_client" | "disabled_client":
            return NeedsAuthorization(f"Google does not accept this service account; {_NEW_KEY}.")
        case _:
            return RetryLater("Google's token service could not be used just now.")


def _reply(response: requests.Response, now: datetime) -> StarferryError:
    status = response.status_code
    wait = seconds_to_wait(response.headers.get("Retry-After"), now)
    error = _google_error(response)
    if error is None or status in (408, 429) or status >= 500:
        return RetryLater(f"Google Cloud Storage is not available just now (status {status}).", retry_after=wait)
    match status:
        case 401:
            return NeedsAuthorization(f"Google Cloud Storage no longer accepts the service account; {_NEW_KEY}.")
        case 403:
            return _forbidden(reason_of(error), wait, now)
        case 404:
            return GiveUp("The bucket does not exist, or this service account may not see it.")
        case 412:
            return GiveUp("Another object is already at that path.")
        case 400 if _is_about_checksum(error):
            return ChecksumMismatch("Google Cloud Storage refused the file because its checksum differs from ours.")
        case 400 | 405 | 411 | 413 | 414:
            return GiveUp(f"Google Cloud Storage refused the request (status {status}); check the bucket and the path.")
        case _:
            return RetryLater(f"Google Cloud Storage answered with status {status}.", retry_after=wait)


def _forbidden(reason: str, wait: float | None, now: datetime) -> StarferryError:
    if reason in _RATE:
        return RetryLater("Google Cloud Storage asks for fewer requests.", retry_after=wait)
    if reason in _BILLING:
        return DestinationPaused("The bucket's Google Cloud project has a billing problem; its owner must settle it.")
    if reason == "dailyLimitExceeded":
        return DestinationPaused(
            "The daily limit of the Google Cloud project is used up.", probe_after=seconds_to_midnight(now)
        )
    if reason in _QUOTA:
        return DestinationPaused("The quota of the Google Cloud project is used up.")
    if reason in _REFUSED:
        return GiveUp("The service account may not do this in the bucket; grant it the role Storage Object User.")
    return RetryLater("Google Cloud Storage refused the request for a reason that is not known here.", retry_after=wait)


def _google_error(response: requests.Response) -> Mapping[str, Any] | None:
    """The `error` object of the reply, None when the reply isn't Google's. Uploads also answer in plain text."""
    if response.headers.get("Content-Type", "").startswith("text/plain") and "X-GUploader-UploadID" in response.headers:
        return {"message": response.text[:1000]}
    return error_in(response.content)


def _is_about_checksum(error: Mapping[str, Any]) -> bool:
    message = str(error.get("message", "")).lower()
    return any(word in message for word in ("crc32c", "md5", "checksum"))
