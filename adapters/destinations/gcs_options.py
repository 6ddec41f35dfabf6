"""What a user says of a Cloud Storage bucket, checked before anything is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from domain.errors import InvalidInput

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")


def check_options(options: Mapping[str, str], secrets: Mapping[str, str]) -> None:
    """Raise InvalidInput when bucket or key can't be right.

    Names of buckets: https://cloud.google.com/storage/docs/buckets#naming
    """
    if service_account(secrets.get("service_account_json", "")).get("type") != "service_account":
        raise _not_a_key()
    bucket = options.get("bucket", "")
    if not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise InvalidInput("The bucket isn't the name of a Cloud Storage bucket.", field="credentials")


def service_account(text: str) -> Mapping[str, Any]:
    """The key of a service account. Raises InvalidInput for what isn't one, without repeating it."""
    try:
        account = json.loads(text)
    except (ValueError, RecursionError):
        raise _not_a_key() from None
    if not isinstance(account, dict):
        raise _not_a_key()
    if not all(isinstance(account.get(name), str) for name in ("client_email", "private_key")):
        raise _not_a_key()
    return account


def _not_a_key() -> InvalidInput:
    message = "service_account_json isn't the JSON key of a Google service account."
    return InvalidInput(message, field="credentials")
