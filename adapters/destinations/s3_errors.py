"""What the faults of an S3-compatible service mean: the only place where they are classified.

Codes come from the S3 API's error format. A reply without one was written by something on the way, and passes. No text
of an exception is passed on: botocore's hold request addresses, and with them an upload's id.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    HTTPClientError,
    ParamValidationError,
    ReadTimeoutError,
    SSLError,
)

from adapters.destinations.classifying import classifying
from adapters.destinations.retry_after import seconds_to_wait
from domain.errors import (
    ChecksumMismatch,
    DestinationPaused,
    GiveUp,
    NeedsAuthorization,
    RetryLater,
    StarferryError,
)

_BAD_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired",
             "NotSignedUp", "InvalidSecurity"}  # fmt: skip
_FULL = {"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "StorageLimitExceeded"}
_UNPAID = {"AccountProblem", "PaymentRequired"}
_DAMAGED = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
_ELSEWHERE = {"PermanentRedirect", "AuthorizationHeaderMalformed",
              "IllegalLocationConstraintException"}  # fmt: skip
_PASSING = {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests",
            "RequestTimeout", "IncompleteBody", "OperationAborted", "ConditionalRequestConflict", "InternalError",
            "ServiceUnavailable", "TemporaryRedirect"}  # fmt: skip
_LOST = {"NoSuchUpload", "NoSuchKey", "NoSuchVersion", "InvalidPart", "InvalidPartOrder"}
_CODE = re.compile(r"[A-Z][A-Za-z0-9]{2,50}")
_NEW_KEYS = "put in valid ones"


def classify(exc: Exception, now: datetime | None = None) -> StarferryError:
    """The error to raise for `exc`; `now` (aware, default the present) is what Retry-After dates count from."""
    match exc:
        case ClientError():
            return _reply(exc, now or datetime.now(UTC))
        case ConnectTimeoutError() | ReadTimeoutError():
            return RetryLater("The S3 service did not answer in time.")
        case SSLError():
            return RetryLater("The S3 service's certificate isn't trusted, or the connection to it failed.")
        case HTTPClientError() if isinstance(ours := exc.kwargs.get("error"), StarferryError):
            return ours
        case ParamValidationError():
            return GiveUp("The S3 service can't have a file of this name, or a bucket of that.")
        case _:
            return RetryLater("The S3 service could not be reached, or its answer could not be understood.")


classified = classifying(classify)


def code_of(exc: ClientError) -> str:
    """The service's own word for the fault; empty when the reply isn't the service's, or the answer to a HEAD."""
    code = str(exc.response.get("Error", {}).get("Code", ""))
    return code if _CODE.fullmatch(code) else ""


def status_of(exc: ClientError) -> int:
    """The HTTP status of the reply, 0 when it had none."""
    return int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _reply(exc: ClientError, now: datetime) -> StarferryError:
    code, status = code_of(exc), status_of(exc)
    headers = exc.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    wait = seconds_to_wait(headers.get("retry-after"), now)
    if code in _FULL:
        return DestinationPaused("The bucket's quota is used up, or the S3 service is full.")
    if code in _UNPAID:
        return DestinationPaused("The S3 service reports a problem with the account; its owner must settle it.")
    if code == "RequestTimeTooSkewed":
        return RetryLater("The S3 service refused us because this server's clock is wrong; ask the operator to set it.")
    if not code or code in _PASSING or status in (408, 429) or status >= 500:
        return RetryLater(f"The S3 service is not available just now (status {status}).", retry_after=wait)
    if code in _BAD_KEYS or status == 401:
        return NeedsAuthorization(f"The S3 service does not accept the access keys, or no longer; {_NEW_KEYS}.")
    if code in _LOST:
        return RetryLater("The S3 service has lost the unfinished upload; it starts anew.", retry_after=wait)
    if code in _DAMAGED:
        return ChecksumMismatch("The S3 service refused the file because its checksum differs from ours.")
    return _for_good(code)


def _for_good(code: str) -> StarferryError:
    match code:
        case "NoSuchBucket":
            return GiveUp("The bucket does not exist at this S3 service.")
        case "AccessDenied" | "AllAccessDisabled" | "AccountNotAuthorized":
            return GiveUp(
                "The access keys lack a permission in the bucket; grant them to list it, to read, write and delete "
                "objects, and to list and abort the parts of uploads."
            )
        case _ if code in _ELSEWHERE:
            return GiveUp("The bucket lies in another region, or at another endpoint; check both.")
        case "PreconditionFailed":
            return GiveUp("Another object is already at that path.")
        case "KeyTooLongError":
            return GiveUp("The path is longer than the S3 service allows.")
        case _:
            return GiveUp(f"The S3 service refused the request ({code}); check the bucket and the path.")
