"""How the S3 emulator lists a bucket: ListObjectsV2, and ListObjects for the clients of services that know no other.

Source: the S3 API's reference of both.
"""

from __future__ import annotations

import time
from urllib.parse import quote
from xml.sax.saxutils import escape

from tests.emulators.http_server import Request, Response
from tests.emulators.s3_auth import S3Error, xml
from tests.emulators.s3_store import Object

# What a list that is no list of objects is asked by.
_OTHERS = {"versions", "uploads", "location", "versioning", "acl", "policy", "lifecycle", "object-lock", "tagging"}


def listing(request: Request, bucket: str, objects: list[Object]) -> Response:
    """The answer to a GET of a bucket; `objects` are all of it, by key. Raises S3Error."""
    kind = request.arg("list-type") or "1"
    if kind not in ("1", "2") or _OTHERS & request.query.keys():
        raise S3Error(501, "NotImplemented", "This is not emulated.")
    prefix, delimiter = request.arg("prefix") or "", request.arg("delimiter") or ""
    most = min(int(request.arg("max-keys") or 1000), 1000)
    later = request.arg("continuation-token") or request.arg("start-after")
    after = (later if kind == "2" else request.arg("marker")) or ""
    found = _grouped(objects, prefix, delimiter, after)
    shown, more = found[:most], len(found) > most > 0
    text = _Texts(encoded=request.arg("encoding-type") == "url")
    parts = [text.of("Name", bucket), text.of("Prefix", prefix), text.of("MaxKeys", str(most))]
    parts += [text.of("IsTruncated", str(more).lower())]
    parts += [text.of("Delimiter", delimiter)] if delimiter else []
    parts += ["<EncodingType>url</EncodingType>"] if text.encoded else []
    if kind == "2":
        parts += [text.of("KeyCount", str(len(shown)))]
        parts += [f"<NextContinuationToken>{escape(shown[-1][0])}</NextContinuationToken>"] if more else []
    else:
        parts += [text.of("Marker", after)]
        parts += [text.of("NextMarker", shown[-1][0])] if more and delimiter else []
    parts += [_contents(text, one) for _, one in shown if one]
    parts += [f"<CommonPrefixes>{text.of('Prefix', name)}</CommonPrefixes>" for name, one in shown if not one]
    return xml(f"<ListBucketResult>{''.join(parts)}</ListBucketResult>")


class _Texts:
    """Elements, their names and keys URL-encoded where the client asks for that."""

    def __init__(self, *, encoded: bool) -> None:
        self.encoded = encoded

    def of(self, tag: str, text: str) -> str:
        return f"<{tag}>{escape(quote(text, safe='/-_.~*') if self.encoded else text)}</{tag}>"


def _grouped(objects: list[Object], prefix: str, delimiter: str, after: str) -> list[tuple[str, Object | None]]:
    """What comes behind `after`, by name: objects, and once each what keys have in common up to the delimiter."""
    found: dict[str, Object | None] = {}
    for one in objects:
        if not one.key.startswith(prefix):
            continue
        cut = one.key.find(delimiter, len(prefix)) if delimiter else -1
        if cut < 0:
            name, entry = one.key, one
        else:
            name, entry = one.key[: cut + len(delimiter)], None
        if name > after:
            found[name] = entry
    return sorted(found.items(), key=lambda pair: pair[0])


def _contents(text: _Texts, one: Object) -> str:
    modified = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(one.about["modified"]))
    return (
        f"<Contents>{text.of('Key', one.key)}<LastModified>{modified}</LastModified><ETag>&quot;{one.etag}&quot;</ETag>"
        f"<Size>{one.size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )
