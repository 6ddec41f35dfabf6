"""What a fault of an S3-compatible service means for the caller."""

from __future__ import annotations

import contextlib

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    SSLError,
)

from domain.errors import GiveUp, InvalidInput, Misconfigured, NotFound, RetryLater, StarferryError

FAULTS = (BotoCoreError, ClientError)
"""What boto3 raises."""

_CREDENTIALS = "The file store refused our access keys; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
_SETTINGS = {
    "NoSuchBucket": "The file store has no such bucket; check BUCKET and S3_ENDPOINT_URL.",
    "InvalidBucketName": "The file store refused the name of the bucket; check BUCKET.",
    "AccessDenied": "The access keys may not do this in the bucket; check their permissions.",
    "AllAccessDisabled": "The bucket is closed to all access.",
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "ExpiredToken": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "RequestTimeTooSkewed": "The clocks of this host and of the file store differ too much; set this host's clock.",
    "AuthorizationHeaderMalformed": "The bucket lies in another region; check AWS_DEFAULT_REGION.",
    "PermanentRedirect": "The bucket lies in another region; check AWS_DEFAULT_REGION and S3_ENDPOINT_URL.",
    "InvalidStorageClass": "The file store has no class STANDARD_IA; switch it off in S3_DAYS_TO_IA_STORAGE.",
}
_GONE = {"NoSuchKey", "NoSuchVersion"}
_PASSING = {
    "SlowDown",
    "Throttling",
    "RequestLimitExceeded",
    "InternalError",
    "ServiceUnavailable",
    "RequestTimeout",
    "NoSuchUpload",  # ended by an attempt whose answer was lost
    "BadDigest",  # the bytes were damaged on their way
    "XMinioStorageFull",
    "QuotaExceeded",
}


def classify(error: Exception) -> StarferryError:
    """The one place where a fault of boto3 becomes an error of ours."""
    if isinstance(error, ClientError):
        return _answered(error)
    match error:
        case NoCredentialsError() | PartialCredentialsError() | CredentialRetrievalError():
            return Misconfigured("There are no access keys for the file store; set AWS_ACCESS_KEY_ID and its secret.")
        case SSLError():
            return Misconfigured("The certificate of the file store isn't trusted; check S3_ENDPOINT_URL.")
        case ParamValidationError():
            return InvalidInput("The file store can't have a file of this name.", field="path")
        case _:
            return RetryLater("The file store can't be reached; try again later.")


def status(error: ClientError) -> int:
    """The HTTP status of an answer; 0 when there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _answered(error: ClientError) -> StarferryError:
    code = error.response.get("Error", {}).get("Code", "")
    http = status(error)
    if code in _SETTINGS:
        return Misconfigured(_SETTINGS[code])
    if code in _GONE:
        return NotFound("The file is no longer in the file store.")
    if code in _PASSING or http >= 500 or http in (0, 408, 425, 429):
        return RetryLater("The file store is busy or out of order; try again later.", retry_after=_retry_after(error))
    if http == 404:
        return NotFound("The file is no longer in the file store.")
    if http in (301, 307):
        return Misconfigured(_SETTINGS["PermanentRedirect"])
    if http in (401, 403):
        return Misconfigured(_SETTINGS["AccessDenied"])
    return GiveUp(f"The file store refused the request ({code or http}).")


def _retry_after(error: ClientError) -> float | None:
    with contextlib.suppress(KeyError, ValueError):
        return float(error.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"])
    return None
