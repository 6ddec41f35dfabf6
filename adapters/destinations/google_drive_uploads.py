"""Google Drive's upload protocols: one call for a small file, a resumable upload for a larger one.

The SDK's media classes don't rewind what a repeated request has to send again, and can't go on in another process.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import requests

from adapters.destinations.google_answers import Confirmed, Finished, Lost, Progress, Taken, framed
from adapters.destinations.google_drive_account import DriveAccount
from adapters.destinations.google_drive_errors import UnexpectedReply
from adapters.destinations.sending import Pieces
from application.ports.destination import Upload

FIELDS = "id,size,createdTime,md5Checksum,sha256Checksum"


class DriveUploads:
    """Uploads in one account. Every method raises UnexpectedReply or what `requests` raises; classify them."""

    def __init__(self, account: DriveAccount) -> None:
        self._account = account
        self._address = f"{account.base}/upload/drive/v3/files"

    def whole(self, upload: Upload, file_id: str, parent: str, data: bytes) -> Finished | Taken:
        """A small file in one call."""
        kind, before, after = framed(_metadata(upload, file_id, parent), upload.content_type)
        response = self._account.request(
            "POST",
            self._address,
            params={"uploadType": "multipart", "supportsAllDrives": "true", "fields": FIELDS},
            headers={"Content-Type": kind},
            data=Pieces(before, data, after),
        )
        match response.status_code:
            case 200 | 201:
                return Finished(_resource(response))
            case 409 if _is_google(response):
                return Taken()
        raise UnexpectedReply(response)

    def initiate(self, upload: Upload, file_id: str, parent: str) -> str | Taken:
        """The address of a new resumable upload, which is a capability."""
        response = self._account.request(
            "POST",
            self._address,
            params={"uploadType": "resumable", "supportsAllDrives": "true", "fields": FIELDS},
            json=_metadata(upload, file_id, parent),
            headers={"X-Upload-Content-Type": upload.content_type, "X-Upload-Content-Length": str(upload.size)},
        )
        if response.status_code == 409 and _is_google(response):
            return Taken()
        if response.status_code not in (200, 201) or "Location" not in response.headers:
            raise UnexpectedReply(response)
        return str(response.headers["Location"])

    def status(self, url: str, upload: Upload) -> Progress:
        """How far the upload is."""
        return self._put(url, b"", f"bytes */{upload.size}")

    def send(self, url: str, upload: Upload, offset: int, data: bytes) -> Progress:
        """Send the bytes at `offset`; the last ones complete the file."""
        return self._put(url, data, f"bytes {offset}-{offset + len(data) - 1}/{upload.size}")

    def cancel(self, url: str) -> None:
        """Drop an unfinished upload; one that is gone or finished is left alone."""
        response = self._account.request("DELETE", url)
        if response.status_code >= 500:
            raise UnexpectedReply(response)

    def _put(self, url: str, data: bytes, content_range: str) -> Progress:
        body = Pieces(data) if data else b""
        response = self._account.request("PUT", url, data=body, headers={"Content-Range": content_range})
        match response.status_code:
            case 200 | 201:
                return Finished(_resource(response))
            case 308:
                return Confirmed(_persisted(response))
            case 404 | 410:
                return Lost()
            case 409 if _is_google(response):
                return Taken()
        raise UnexpectedReply(response)


def _metadata(upload: Upload, file_id: str, parent: str) -> dict[str, Any]:
    name = upload.path.rsplit("/", 1)[1]
    return {"id": file_id, "name": name, "parents": [parent], "mimeType": upload.content_type}


def _resource(response: requests.Response) -> Mapping[str, Any]:
    resource = response.json()
    if not isinstance(resource, dict) or "id" not in resource:
        raise UnexpectedReply(response)
    return resource


def _persisted(response: requests.Response) -> int:
    """Bytes kept so far, from `Range: bytes=0-<last>`; no such header means none."""
    header = response.headers.get("Range")
    if header is None:
        return 0
    found = re.fullmatch(r"(?:bytes=)?0-(\d+)", header.strip())
    if found is None:
        raise UnexpectedReply(response)
    return int(found[1]) + 1


def _is_google(response: requests.Response) -> bool:
    return response.headers.get("Content-Type", "").startswith("application/json")
