"""Google Cloud Storage's upload protocols, as far as one upload at a time needs them: resumable, or in one request.

Source: the JSON API's "resumable uploads", "performing resumable uploads" and "multipart uploads" pages. The SDK's own
loop can't take a partial persist (308 with a shorter Range), a finished session, or a resume in another process.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from adapters.destinations.gcs_errors import UnexpectedReply
from adapters.destinations.google_answers import Confirmed, Finished, Lost, Progress, Taken, framed
from adapters.destinations.sending import Pieces
from application.ports.destination import Upload
from domain.errors import RetryLater


class GcsUploads:
    """Uploads to one bucket through `session`, which adds the credentials.

    `timeout` (seconds) holds for connecting, for each piece of a chunk and for the answer, so a slow line is no fault
    while it moves. Every method raises UnexpectedReply or the session's exceptions; classify them.
    """

    def __init__(self, session: Any, base: str, bucket: str, timeout: float) -> None:
        self._session = session
        self._base = base
        self._address = f"{base}/upload/storage/v1/b/{quote(bucket, safe='')}/o"
        self._timeout = timeout

    def whole(self, upload: Upload, name: str, data: bytes) -> Finished | Taken:
        """All bytes in one request. The provider compares the checksums, and the object appears only where none is."""
        kind, before, after = framed(_metadata(upload, name), upload.content_type)
        response = self._session.request(
            "POST",
            self._address,
            params={"uploadType": "multipart", "ifGenerationMatch": "0"},
            data=Pieces(before, data, after),
            headers={"Content-Type": kind},
            timeout=self._timeout,
            allow_redirects=False,
        )
        match response.status_code:
            case 200 | 201:
                return Finished(_resource(response))
            case 412:
                return Taken()
            case _:
                raise UnexpectedReply(response)

    def initiate(self, upload: Upload, name: str) -> str | Taken:
        """The address of a new upload, which is a capability. The object appears only where none is before."""
        response = self._session.request(
            "POST",
            self._address,
            params={"uploadType": "resumable", "ifGenerationMatch": "0"},
            json=_metadata(upload, name),
            headers={
                "X-Upload-Content-Type": upload.content_type,
                "X-Upload-Content-Length": str(upload.size),
            },
            timeout=self._timeout,
            allow_redirects=False,
        )
        if response.status_code == 412:
            return Taken()
        if response.status_code not in (200, 201) or "Location" not in response.headers:
            raise UnexpectedReply(response)
        url = str(response.headers["Location"])
        if not self._is_ours(url):
            raise RetryLater("Google Cloud Storage gave an upload address that is not its own.")
        return url

    def status(self, url: str, upload: Upload) -> Progress:
        """How far the upload is. Completes one that has all its bytes, an empty one at once."""
        return self._put(url, upload, b"", f"bytes */{upload.size}", final=True)

    def send(self, url: str, upload: Upload, offset: int, data: bytes) -> Progress:
        """Send the bytes at `offset`; the last ones carry the checksum that the provider compares."""
        end = offset + len(data)
        return self._put(url, upload, data, f"bytes {offset}-{end - 1}/{upload.size}", final=end == upload.size)

    def cancel(self, url: str) -> None:
        """Drop an unfinished upload and its bytes; one that is gone or finished is left alone."""
        if not self._is_ours(url):
            return
        response = self._session.request("DELETE", url, timeout=self._timeout, allow_redirects=False)
        if response.status_code >= 500 and response.status_code != 501:
            raise UnexpectedReply(response)

    def _put(self, url: str, upload: Upload, data: bytes, content_range: str, *, final: bool) -> Progress:
        if not self._is_ours(url):
            return Lost()
        headers = {"Content-Range": content_range}
        if final:
            headers["x-goog-hash"] = f"crc32c={_base64(upload.hashes.crc32c)}"
        response = self._session.request(
            "PUT",
            url,
            data=Pieces(data) if data else b"",
            headers=headers,
            timeout=self._timeout,
            allow_redirects=False,
        )
        match response.status_code:
            case 200 | 201:
                return Finished(_resource(response))
            case 308:
                return Confirmed(_persisted(response))
            case 404 | 410:
                return Lost()
            case 412:
                return Taken()
            case _:
                raise UnexpectedReply(response)

    def _is_ours(self, url: str) -> bool:
        given, own = urlsplit(url), urlsplit(self._base)
        if (given.scheme, given.netloc) == (own.scheme, own.netloc):
            return True
        host = given.netloc.lower()
        return own.netloc.endswith(".googleapis.com") and given.scheme == "https" and host.endswith(".googleapis.com")


def _metadata(upload: Upload, name: str) -> dict[str, str]:
    return {
        "name": name,
        "contentType": upload.content_type,
        "crc32c": _base64(upload.hashes.crc32c),
        "md5Hash": _base64(upload.hashes.md5),
    }


def _resource(response: requests.Response) -> Mapping[str, Any]:
    resource = response.json()
    if not isinstance(resource, dict) or "generation" not in resource:
        raise UnexpectedReply(response)
    return resource


def _persisted(response: requests.Response) -> int:
    """Bytes kept so far, from `Range: bytes=0-<last>`; no such header means none."""
    header = response.headers.get("Range")
    if header is None:
        return 0
    found = re.fullmatch(r"bytes=0-(\d+)", header.strip())
    if found is None:
        raise UnexpectedReply(response)
    return int(found[1]) + 1


def _base64(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode()
