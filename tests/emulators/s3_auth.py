"""Signature Version 4 as the S3 emulator checks it, written from the S3 API's reference and not from an SDK."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

from tests.emulators.http_server import Request, Response

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,]+)/(\d{8})/([^/]+)/s3/aws4_request,\s*"
    r"SignedHeaders=([a-z0-9;-]+),\s*Signature=([0-9a-f]{64})"
)
_SKEW = timedelta(minutes=15)


class S3Error(Exception):
    """An answer in the S3 API's error format."""

    def __init__(self, status: int, code: str, message: str = "", region: str = "") -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.region = status, code, message, region

    def response(self) -> Response:
        text = f"<Code>{self.code}</Code><Message>{escape(self.message)}</Message><RequestId>emulated</RequestId>"
        if not self.region:
            return xml(f"<Error>{text}</Error>", self.status)
        answer = xml(f"<Error>{text}<Region>{self.region}</Region></Error>", self.status)
        answer.headers["x-amz-bucket-region"] = self.region
        return answer


def xml(text: str, status: int = 200) -> Response:
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return Response(status, {"Content-Type": "application/xml"}, (head + text).encode())


def signer(request: Request, region: str, secret_of: Callable[[str], str | None]) -> str:
    """The access key that signed the request's head. Raises S3Error."""
    found = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
    if found is None:
        raise S3Error(403, "AccessDenied", "Access Denied")
    access_key, day, scope_region, names, signature = found.groups()
    secret = secret_of(access_key)
    if secret is None:
        raise S3Error(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
    if scope_region != region:
        raise S3Error(400, "AuthorizationHeaderMalformed", f"The region is wrong; expecting '{region}'", region)
    moment = request.headers.get("X-Amz-Date", "")
    signed = names.split(";")
    unsigned = [name for name in map(str.lower, request.headers) if name.startswith("x-amz-") and name not in signed]
    if "host" not in signed or unsigned:
        raise S3Error(403, "AccessDenied", "There were headers present in the request which were not signed")
    key = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    canonical = hashlib.sha256(_canonical(request, signed).encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{moment}\n{day}/{region}/s3/aws4_request\n{canonical}"
    if not hmac.compare_digest(hmac.digest(key, text.encode(), hashlib.sha256).hex(), signature):
        raise S3Error(403, "SignatureDoesNotMatch", "The request signature we calculated does not match.")
    when = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if abs(datetime.now(UTC) - when) > _SKEW:
        raise S3Error(
            403, "RequestTimeTooSkewed", "The difference between the request time and the current is too large."
        )
    return access_key


def _canonical(request: Request, signed: list[str]) -> str:
    pairs = sorted((_encoded(name), _encoded(value)) for name, values in request.query.items() for value in values)
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in signed)
    return "\n".join(
        (
            request.method,
            quote(unquote(request.path), safe="/-_.~"),
            "&".join(f"{name}={value}" for name, value in pairs),
            headers,
            ";".join(signed),
            request.headers.get("X-Amz-Content-Sha256", ""),
        )
    )


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")
