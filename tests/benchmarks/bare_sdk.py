"""What each provider's SDK uploads a second by itself, in a plain loop without its known traps: Starferry's partner.

No retries that sleep, one token for all, requests that are never repeated silently, chunks of 8 MiB, names that must
be free, checksums as the SDK sends them. Files of one chunk go in one call. Nothing is looked up, kept or recorded.
"""

from __future__ import annotations

import io
import itertools
import json
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
import requests

from tests.benchmarks.report import MIB
from tests.benchmarks.sinks import BUCKET, S3, Drive, Dropbox, Gcs, Sink, new_key

CHUNK, THREADS = 8 * MIB, 4
CONTENT_TYPE = "application/fits"

Upload = Callable[[Path], None]


def rate(sink: Sink, files: list[Path]) -> float:
    """Megabytes a second; connections and tokens are there before the clock starts."""
    with _LOOPS[type(sink)](sink) as upload, ThreadPoolExecutor(THREADS) as threads:
        begun = time.perf_counter()
        list(threads.map(upload, files))
        elapsed = time.perf_counter() - begun
    return sum(file.stat().st_size for file in files) / elapsed / 1e6


def _chunks(file: Path) -> Iterator[tuple[int, bytes]]:
    """Offset and bytes."""
    with file.open("rb") as source:
        offset = 0
        while data := source.read(CHUNK):
            yield offset, data
            offset += len(data)


@contextmanager
def _gcs(sink: Gcs) -> Iterator[Upload]:
    from adapters.destinations.gcs_client import Connection  # left to itself the SDK calls other services

    connection = Connection(msgspec.json.decode(sink.credentials["service_account_json"]), sink.url)
    bucket = connection.client.bucket(BUCKET)
    connection.fetch_token(30.0)

    def upload(file: Path) -> None:
        size = file.stat().st_size
        with file.open("rb") as source:
            blob = bucket.blob(new_key(file), chunk_size=CHUNK if size > CHUNK else None)
            blob.upload_from_file(source, size=size, checksum="crc32c", if_generation_match=0, retry=None)

    yield upload
    connection.close()


@contextmanager
def _s3(sink: S3) -> Iterator[Upload]:
    import boto3
    from botocore.config import Config

    client: Any = boto3.session.Session().client(
        "s3",
        endpoint_url=sink.url,
        region_name="us-east-1",
        aws_access_key_id=sink.credentials["access_key"],
        aws_secret_access_key=sink.credentials["secret_key"],
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            retries={"mode": "standard", "total_max_attempts": 1},
            max_pool_connections=16,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )

    def upload(file: Path) -> None:
        where = {"Bucket": BUCKET, "Key": new_key(file)}
        if file.stat().st_size <= CHUNK:
            client.put_object(
                **where, Body=file.read_bytes(), IfNoneMatch="*", ContentType=CONTENT_TYPE, ChecksumAlgorithm="CRC32"
            )
            return
        begun = client.create_multipart_upload(
            **where, ContentType=CONTENT_TYPE, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"
        )
        where["UploadId"] = begun["UploadId"]
        parts = []
        for number, (_, data) in enumerate(_chunks(file), 1):
            answer = client.upload_part(**where, PartNumber=number, Body=data, ChecksumAlgorithm="CRC32")
            parts.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumCRC32": answer["ChecksumCRC32"]})
        client.complete_multipart_upload(
            **where, MultipartUpload={"Parts": parts}, IfNoneMatch="*", ChecksumType="FULL_OBJECT"
        )

    client.head_bucket(Bucket=BUCKET)
    yield upload
    client.close()


@contextmanager
def _dropbox(sink: Dropbox) -> Iterator[Upload]:
    import dropbox
    from dropbox import files

    session = dropbox.create_session(max_connections=8)
    session.trust_env = False
    for host in ("api", "content"):
        session.mount(f"https://{host}.dropboxapi.com", _Rebased(sink.url))
    client: Any = dropbox.Dropbox(
        oauth2_refresh_token=sink.grant(),
        app_key=sink.credentials["app_key"],
        app_secret=sink.credentials["app_secret"],
        session=session,
        timeout=60,
        max_retries_on_error=0,
        max_retries_on_rate_limit=0,
    )
    client.refresh_access_token()
    free = files.WriteMode.add

    def upload(file: Path) -> None:
        path, size = f"/{new_key(file)}", file.stat().st_size
        if size <= CHUNK:
            client.files_upload(file.read_bytes(), path, mode=free, autorename=False, mute=True)
            return
        known = client.files_upload_session_start(b"").session_id
        for offset, data in _chunks(file):
            client.files_upload_session_append_v2(data, files.UploadSessionCursor(known, offset))
        commit = files.CommitInfo(path, mode=free, autorename=False, mute=True)
        client.files_upload_session_finish(b"", files.UploadSessionCursor(known, size), commit)

    yield upload
    session.close()


@contextmanager
def _drive(sink: Drive) -> Iterator[Upload]:
    from google.auth.transport.requests import AuthorizedSession, Request
    from google.oauth2.credentials import Credentials
    from googleapiclient import discovery
    from googleapiclient.discovery_cache import get_static_doc
    from googleapiclient.http import MediaUpload

    credentials = Credentials(  # type: ignore[no-untyped-call]
        None,
        refresh_token=sink.grant(),
        token_uri=f"{sink.url}/token",
        client_id=sink.credentials["client_id"],
        client_secret=sink.credentials["client_secret"],
        scopes=["https://www.googleapis.com/auth/drive.file"],
    )
    credentials.refresh(Request())  # type: ignore[no-untyped-call]
    session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
    document = json.loads(get_static_doc("drive", "v3"))
    document["rootUrl"] = f"{sink.url}/"
    drive: Any = discovery.build_from_document(document, http=_Transport(session))

    class Pieces(MediaUpload):  # type: ignore[misc]
        """Bytes instead of a stream that the SDK doesn't rewind."""

        def __init__(self, file: Path) -> None:
            self._file, self._size = file, file.stat().st_size

        def chunksize(self) -> int:
            return CHUNK

        def mimetype(self) -> str:
            return CONTENT_TYPE

        def size(self) -> int:
            return self._size

        def resumable(self) -> bool:
            return True

        def getbytes(self, begin: int, length: int) -> bytes:
            with self._file.open("rb") as source:
                source.seek(begin)
                return source.read(length)

    ids: Iterator[str] = itertools.chain.from_iterable(
        drive.files().generateIds(count=100, space="drive", type="files").execute()["ids"] for _ in itertools.count()
    )
    ready = [next(ids) for _ in range(300)]

    def upload(file: Path) -> None:
        body = {"id": ready.pop(), "name": new_key(file), "mimeType": CONTENT_TYPE}
        if file.stat().st_size <= CHUNK:
            boundary = secrets.token_hex(16)
            head = f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(body)}"
            media = f"\r\n--{boundary}\r\nContent-Type: {CONTENT_TYPE}\r\n\r\n"
            answer = session.post(
                f"{sink.url}/upload/drive/v3/files?uploadType=multipart&fields=id,md5Checksum",
                data=b"".join((head.encode(), media.encode(), file.read_bytes(), f"\r\n--{boundary}--\r\n".encode())),
                headers={"Content-Type": f"multipart/related; boundary={boundary}"},
                timeout=60,
            )
            answer.raise_for_status()
            return
        request = drive.files().create(body=body, media_body=Pieces(file), fields="id,md5Checksum")
        done = None
        while done is None:
            _, done = request.next_chunk()

    yield upload
    session.close()


class _Rebased(requests.adapters.HTTPAdapter):
    """Dropbox's hosts are built into its SDK."""

    def __init__(self, base: str) -> None:
        self._base = urlsplit(base)
        super().__init__(pool_maxsize=8)

    def send(self, request: requests.PreparedRequest, *args: Any, **named: Any) -> requests.Response:
        parts = urlsplit(str(request.url))
        request.url = urlunsplit((self._base.scheme, self._base.netloc, parts.path, parts.query, ""))
        return super().send(request, *args, **named)


class _Transport:
    """In the place of httplib2, which threads can't share and which repeats requests silently."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def request(
        self, uri: str, method: str = "GET", body: Any = None, headers: Any = None, **_: Any
    ) -> tuple[Any, bytes]:
        import httplib2

        data = body.read() if isinstance(body, io.IOBase) else body
        answer = self._session.request(
            method, uri, data=data, headers=dict(headers or {}), timeout=60, allow_redirects=False
        )
        response = httplib2.Response({name.lower(): value for name, value in answer.headers.items()})
        response.status, response.reason = answer.status_code, answer.reason
        return response, answer.content

    def close(self) -> None:
        """The session is closed by whoever made it."""


_LOOPS: dict[type[Sink], Callable[[Any], Any]] = {Gcs: _gcs, S3: _s3, Dropbox: _dropbox, Drive: _drive}
