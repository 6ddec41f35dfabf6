"""How an S3-compatible bucket is reached (contracts: OCS archive library, file store and its variables)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, cast
from urllib.parse import urlsplit

import boto3
import msgspec
from botocore.config import Config

from domain.errors import Misconfigured

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ATTEMPTS = 3
"""Attempts of one call in all; whoever asked decides about more."""

_STYLES = ("virtual", "path", "auto")
_SIGNATURES = ("s3v4", "s3")


class S3Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Defaults are those of the OCS archive library. Raises Misconfigured, naming the variable to mend.

    Empty access keys leave it to boto3 to find some (instance role, shared credentials file). An empty region is read
    from an AWS endpoint. `days_to_ia` is the age of an observation, in days, from which its files go to the class
    STANDARD_IA; None for services that don't have it.
    """

    bucket: str
    endpoint: str = "https://s3.us-west-2.amazonaws.com"
    region: str = ""
    access_key: str = ""
    secret_key: str = ""
    addressing_style: str = "virtual"
    signature_version: str = "s3v4"
    days_to_ia: int | None = 60

    def __post_init__(self) -> None:
        try:
            url = urlsplit(self.endpoint)
            sound = url.scheme in ("http", "https") and bool(url.hostname) and "@" not in url.netloc
        except ValueError:
            sound = False
        if not sound:
            raise Misconfigured("S3_ENDPOINT_URL must be an http or https address without a user name.")
        if not self.bucket or "/" in self.bucket:
            raise Misconfigured("BUCKET must be the name of a bucket.")
        if self.addressing_style not in _STYLES:
            raise Misconfigured(f"S3_ADDRESSING_STYLE must be one of {', '.join(_STYLES)}.")
        if self.signature_version not in _SIGNATURES:
            raise Misconfigured(f"S3_SIGNATURE_VERSION must be one of {', '.join(_SIGNATURES)}.")
        if bool(self.access_key) != bool(self.secret_key):
            raise Misconfigured("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set together.")
        if self.days_to_ia is not None and self.days_to_ia < 0:
            raise Misconfigured("S3_DAYS_TO_IA_STORAGE must not be negative.")

    def __repr__(self) -> str:
        return f"S3Settings(bucket={self.bucket!r}, endpoint={self.endpoint!r})"


def connect(settings: S3Settings) -> S3Client:
    """A client that may be shared between threads. Nothing is sent yet. Raises Misconfigured."""
    try:
        config = Config(
            signature_version=settings.signature_version,
            s3={"addressing_style": cast(Literal["virtual", "path", "auto"], settings.addressing_style)},
            retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
            connect_timeout=5,
            read_timeout=60,
            max_pool_connections=32,
            # boto3's own trailing checksums are refused by many compatible services; Content-MD5 is known to all
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        # a session of its own: the default one isn't made for several threads
        return boto3.session.Session().client(
            "s3",
            endpoint_url=settings.endpoint,
            region_name=settings.region or _region(settings.endpoint),
            aws_access_key_id=settings.access_key or None,
            aws_secret_access_key=settings.secret_key or None,
            config=config,
        )
    except Exception as error:
        raise Misconfigured("The S3 client can't be made from S3_ENDPOINT_URL and AWS_DEFAULT_REGION.") from error


def _region(endpoint: str) -> str:
    named = re.search(r"\bs3[.-]([a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com", urlsplit(endpoint).hostname or "")
    return named[1] if named else "us-east-1"
