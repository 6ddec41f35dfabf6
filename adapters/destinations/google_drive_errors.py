"""What Google Drive's faults mean: the only place where they are classified.

Status and `error.errors[].reason` come from Drive's error format. A reply that isn't in that format was not written by
Google but by something on the way, and passes. No text of an exception is passed on: it may hold an upload's address,
which lets anybody write.
"""

from __future__ import annotations

from datetime import UTC, datetime

import requests
from googleapiclient.errors import HttpError

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

_RATE = {"rateLimitExceeded", "userRateLimitExceeded", "sharingRateLimitExceeded"}
_FULL = {"storageQuotaExceeded", "quotaExceeded", "teamDriveFileLimitExceeded", "activeItemCreationLimitExceeded"}
_STRUCTURE = {"numChildrenInNonRootLimitExceeded", "myDriveHierarchyDepthLimitExceeded"}
_CONSENT = {"insufficientPermissions", "accessNotConfigured", "domainPolicy", "appNotAuthorizedToUser", "authError"}


class UnexpectedReply(Exception):
    """A reply that the upload protocol doesn't provide for. Its text holds the status and no address."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__(f"status {response.status_code}")
        self.response = response


def classify(exc: Exception, now: datetime | None = None) -> StarferryError:
    """The error to raise for `exc`; `now` (aware, default the present) is what Retry-After dates count from."""
    now = now or datetime.now(UTC)
    match exc:
        case HttpError():
            return _reply(exc.status_code, exc.resp.get("retry-after"), exc.content, now)
        case UnexpectedReply(response=response):
            return _reply(response.status_code, response.headers.get("Retry-After"), response.content, now)
        case requests.Timeout():
            return RetryLater("Google Drive did not answer in time.")
        case requests.RequestException():
            return RetryLater("The connection to Google Drive failed.")
        case _:
            return RetryLater("Google Drive could not be reached, or its answer could not be understood.")


classified = classifying(classify)


def is_status(exc: Exception, status: int) -> bool:
    """Whether an exception is Drive's own reply with this status."""
    if isinstance(exc, HttpError):
        return exc.status_code == status and error_in(exc.content) is not None
    return (
        isinstance(exc, UnexpectedReply)
        and exc.response.status_code == status
        and error_in(exc.response.content) is not None
    )


def _reply(status: int, retry_after: str | None, content: bytes, now: datetime) -> StarferryError:
    wait = seconds_to_wait(retry_after, now)
    error = error_in(content)
    if error is None or status in (408, 429) or status >= 500:
        return RetryLater(f"Google Drive is not available just now (status {status}).", retry_after=wait)
    match status:
        case 401:
            return NeedsAuthorization("Google Drive no longer accepts the authorization; authorize again.")
        case 403:
            return _forbidden(reason_of(error), wait, now)
        case 404:
            return GiveUp("The folder in Google Drive does not exist, or the app may not see it.")
        case 409:
            return RetryLater("Google Drive has this file already.")
        case 400 if "checksum" in str(error.get("message", "")).lower():
            return ChecksumMismatch("Google Drive refused the file because its checksum differs from ours.")
        case 400 | 405 | 411 | 412 | 413 | 414 | 416:
            return GiveUp(f"Google Drive refused the request (status {status}); check the destination path.")
        case _:
            return RetryLater(f"Google Drive answered with status {status}.", retry_after=wait)


def _forbidden(reason: str, wait: float | None, now: datetime) -> StarferryError:
    if reason in _RATE:
        return RetryLater("Google Drive asks for fewer requests.", retry_after=wait)
    if reason == "dailyLimitExceeded":
        return DestinationPaused(
            "The daily limit of the Google project is used up.", probe_after=seconds_to_midnight(now)
        )
    if reason in _FULL:
        return DestinationPaused("The Google Drive is full; its owner must make room.")
    if reason in _CONSENT:
        return NeedsAuthorization("The authorization lacks a permission; authorize again and grant it.")
    if reason in _STRUCTURE:
        return GiveUp("Google Drive takes no more files in this folder, or no folder this deep; change the template.")
    if reason in ("insufficientFilePermissions", "forbidden", "teamDriveMembershipRequired"):
        return GiveUp("The account has no permission to write to this folder of Google Drive.")
    return RetryLater("Google Drive refused the request for a reason that is not known here.", retry_after=wait)
