"""A seekable file over ranged GETs of one version of an S3 object."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from botocore.exceptions import (
    ConnectionClosedError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.response import StreamingBody

from adapters.file_store.s3_faults import FAULTS, classify
from adapters.file_store.s3_settings import ATTEMPTS
from domain.errors import RetryLater

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from mypy_boto3_s3 import S3Client

FIRST_RANGE = 1024 * 1024
"""Bytes asked for after a seek: enough for the headers of a frame, little to throw away."""

LARGEST_RANGE = 64 * 1024 * 1024
"""Bytes that a range grows to, doubling, while a file is read through. They are streamed, not held."""

_BROKEN = (ConnectionClosedError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError)


class S3Reader(io.RawIOBase):
    """Reads `size` bytes of exactly one version. Memory is constant; used by one thread at a time.

    Raises NotFound, RetryLater, Misconfigured while reading.
    """

    def __init__(self, client: S3Client, bucket: str, path: str, version: str, size: int) -> None:
        super().__init__()
        self._client = client
        self._bucket, self._path, self._version = bucket, path, version
        self._size = size
        self._position = 0
        self._body: StreamingBody | None = None
        self._range_end = 0
        self._range = FIRST_RANGE

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError("a file has no bytes before its first")
        if start + offset != self._position:
            self._position = start + offset
            self._drop()
            self._range = FIRST_RANGE
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        if not view or self._position >= self._size:
            return 0
        for _ in range(ATTEMPTS):
            body = self._body or self._request()
            try:
                data = body.read(min(len(view), self._range_end - self._position))
            except _BROKEN:
                self._drop()
                continue
            if not data:
                self._drop()
                continue
            view[: len(data)] = data
            self._position += len(data)
            if self._position == self._range_end:
                self._drop()
            return len(data)
        raise RetryLater("The file store stopped sending in the middle of a file; try again later.")

    def close(self) -> None:
        self._drop()
        super().close()

    def _request(self) -> StreamingBody:
        self._range_end = min(self._position + self._range, self._size)
        self._range = min(self._range * 2, LARGEST_RANGE)
        try:
            answer = self._client.get_object(
                Bucket=self._bucket,
                Key=self._path,
                VersionId=self._version,
                Range=f"bytes={self._position}-{self._range_end - 1}",
            )
        except FAULTS as error:
            raise classify(error) from error
        self._body = answer["Body"]
        return self._body

    def _drop(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()
