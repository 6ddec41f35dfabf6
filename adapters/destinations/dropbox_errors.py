"""What Dropbox's faults mean: the only place where they are classified.

The SDK turns replies that aren't Dropbox's own (a proxy's page, a cut connection) into bare AssertionError, KeyError,
ValueError and JSONDecodeError; all of these pass. No text of an exception is passed on.
"""

from __future__ import annotations

from typing import Any

import requests
from dropbox import files
from dropbox.exceptions import ApiError, AuthError, BadInputError, HttpError, PathRootError, RateLimitError

from adapters.destinations.classifying import classifying
from adapters.destinations.retry_after import LONGEST
from domain.errors import (
    ChecksumMismatch,
    DestinationPaused,
    GiveUp,
    NeedsAuthorization,
    RetryLater,
    StarferryError,
)

_FULL = ("insufficient_space", "team_folder_insufficient_space", "member_folder_insufficient_space")


def classify(exc: Exception) -> StarferryError:
    """The error to raise for `exc`."""
    match exc:
        case RateLimitError():
            return RetryLater("Dropbox asks for fewer requests.", retry_after=min(float(exc.backoff or 1), LONGEST))
        case AuthError():
            return _credentials(exc.error)
        case ApiError():
            return _api(exc.error)
        case PathRootError():
            return GiveUp("The Dropbox folder that was authorized does not exist any more.")
        case BadInputError() if "<html" in str(exc.message).lower():  # a proxy's page
            return RetryLater("Dropbox is not available just now (status 400).")
        case BadInputError():
            return GiveUp("Dropbox refused the request; check the destination path.")
        case HttpError() if exc.status_code == 413:
            return GiveUp("Dropbox takes no file of this size.")
        case HttpError():
            return RetryLater(f"Dropbox is not available just now (status {exc.status_code}).")
        case requests.Timeout():
            return RetryLater("Dropbox did not answer in time.")
        case requests.RequestException():
            return RetryLater("The connection to Dropbox failed.")
        case _:
            return RetryLater("Dropbox could not be reached, or its answer could not be understood.")


classified = classifying(classify)


def write_error(error: Any) -> Any:
    """The WriteError in the error of an upload, or None."""
    if isinstance(error, files.UploadError) and error.is_path():
        return error.get_path().reason
    if isinstance(error, files.UploadSessionFinishError) and error.is_path():
        return error.get_path()
    return None


def has_file_above(reason: Any) -> bool:
    """Whether a WriteError says that a folder can't be made because a file has its name."""
    return bool(reason.is_conflict() and reason.get_conflict().is_file_ancestor())


def session_error(error: Any) -> Any:
    """The part of an upload session's error that speaks of the session itself, or None."""
    if isinstance(error, files.UploadSessionFinishError):
        return error.get_lookup_failed() if error.is_lookup_failed() else None
    return error if isinstance(error, files.UploadSessionLookupError | files.UploadSessionAppendError) else None


def correct_offset(error: Any) -> int | None:
    """How much of an upload Dropbox has, when its error says so."""
    lookup = session_error(error)
    if lookup is None or not lookup.is_incorrect_offset():
        return None
    return int(lookup.get_incorrect_offset().correct_offset)


def session_is_over(error: Any) -> bool:
    """Whether the upload session expired, was finished or closed."""
    lookup = session_error(error)
    return lookup is not None and (lookup.is_not_found() or lookup.is_closed())


def _credentials(error: Any) -> StarferryError:
    if error is not None and error.is_missing_scope():
        return NeedsAuthorization(
            "The authorization lacks a permission; grant the app files.content.write, files.metadata.read and "
            "account_info.read, and authorize again."
        )
    if error is not None and error.is_user_suspended():
        return NeedsAuthorization("This Dropbox account is suspended.")
    return NeedsAuthorization("Dropbox no longer accepts the authorization; authorize again.")


def _api(error: Any) -> StarferryError:
    if (reason := write_error(error)) is not None:
        return _write(reason)
    if session_is_over(error):
        return RetryLater("Dropbox does not know the upload any more; it begins anew.")
    if correct_offset(error) is not None:
        return RetryLater("Dropbox has another part of the file than was thought.")
    if _has(error, "content_hash_mismatch"):
        return ChecksumMismatch("Dropbox refused the file because its checksum differs from ours.")
    if _has(error, "payload_too_large") or _has(error, "too_large"):
        return GiveUp("Dropbox takes no file of this size.")
    if isinstance(error, files.GetMetadataError | files.ListFolderError) and error.is_path():
        return _lookup(error.get_path())
    if isinstance(error, files.DeleteError) and error.is_path_write():
        return _write(error.get_path_write())
    return RetryLater("Dropbox refused the request for a passing reason.")


def _write(reason: Any) -> StarferryError:
    if any(_has(reason, tag) for tag in _FULL):
        return DestinationPaused("The Dropbox is full; its owner must make room.")
    if _has(reason, "upload_traffic_limit_reached"):
        return DestinationPaused("The Dropbox has reached its limit of uploads for now.")
    if _has(reason, "team_folder"):
        return GiveUp("Dropbox doesn't allow files in this team folder.")
    if any(_has(reason, tag) for tag in ("access_restricted", "operation_suppressed")):
        return GiveUp("Dropbox doesn't allow this app to write to this folder; change the destination path.")
    if reason.is_no_write_permission():
        return GiveUp("The account has no permission to write to this folder of Dropbox.")
    if reason.is_malformed_path() or reason.is_disallowed_name():
        return GiveUp("Dropbox doesn't allow this path; change the destination path or the template.")
    if has_file_above(reason):
        return GiveUp("A part of the path that should be a folder is a file in the Dropbox; it was left as it is.")
    if reason.is_conflict():
        return GiveUp("Another file or folder is already at that path.")
    return RetryLater("Dropbox can't write just now.")


def _lookup(reason: Any) -> StarferryError:
    if reason.is_not_found():
        return GiveUp("The Dropbox folder does not exist, or the app may not see it.")
    if reason.is_malformed_path():
        return GiveUp("Dropbox doesn't allow this path; change the destination path.")
    return GiveUp("The destination path is no folder that the app may use.")


def _has(error: Any, tag: str) -> bool:
    """Whether a union has this tag; not all unions know all tags."""
    return getattr(error, "_tag", None) == tag
