"""What a user says of an S3-compatible service, checked before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from adapters.destinations.endpoint_addresses import as_numbers, may_call
from adapters.public_internet import Network
from domain.errors import InvalidInput

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_REGION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_KEY = re.compile(r"[!-~]{1,1000}")
_HOST = re.compile(r"[A-Za-z0-9.:_-]{1,253}")
_PATH = re.compile(r"(/[A-Za-z0-9_-]+)*/?")


def check_options(options: Mapping[str, str], secrets: Mapping[str, str], allowed: Sequence[Network]) -> None:
    """Raise InvalidInput when bucket, region, endpoint or keys can't be right.

    An endpoint that is a name is only looked up when it is called; what it means is judged then, each time.
    """
    if not _BUCKET.fullmatch(options.get("bucket", "")):
        raise InvalidInput("The bucket isn't the name of an S3 bucket.", field="credentials")
    region = options.get("region", "")
    if region and not _REGION.fullmatch(region):  # it becomes part of Amazon's host name
        raise InvalidInput("The region isn't one such as eu-central-1.", field="credentials")
    if not all(_KEY.fullmatch(secrets.get(name, "")) for name in ("access_key", "secret_key")):
        raise InvalidInput("access_key and secret_key have to be given, without spaces.", field="credentials")
    if endpoint := options.get("endpoint", ""):
        _check_endpoint(endpoint, allowed)


def _check_endpoint(endpoint: str, allowed: Sequence[Network]) -> None:
    try:
        url = urlsplit(endpoint)
        host, port = url.hostname or "", url.port
    except ValueError:
        host, port = "", None
    sound = bool(_HOST.fullmatch(host)) and port != 0 and url.scheme in ("http", "https") and "@" not in url.netloc
    if not sound or "?" in endpoint or "#" in endpoint or not _PATH.fullmatch(url.path):
        raise InvalidInput(
            "The endpoint has to be an address such as https://s3.example.org, without user name and query.",
            field="credentials",
        )
    address = as_numbers(host)
    if address and not may_call(address, allowed, encrypted=url.scheme == "https"):
        raise InvalidInput(
            "The endpoint isn't at a public address with https; others have to be allowed by the operator "
            "(STARFERRY_S3_NETWORKS).",
            field="credentials",
        )
