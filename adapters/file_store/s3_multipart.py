"""One large object in several requests, with bounded memory."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.file_store.s3_faults import FAULTS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PART = 8 * 1024 * 1024
"""Bytes of a part, and with THREADS what an upload holds in memory; larger only above 10 000 parts (80 GB)."""

THREADS = 2

_MOST_PARTS = 10_000


def put_in_parts(client: S3Client, request: dict[str, Any], file: Path, size: int) -> str:
    """Upload `size` bytes of `file` as the object that `request` describes; returns the VersionId, maybe empty.

    The service checks each part against its md5. After a failure nothing is left there. Raises what boto3 raises.
    """
    length = max(PART, -(-size // _MOST_PARTS))
    upload = client.create_multipart_upload(**request)["UploadId"]
    where = {"Bucket": request["Bucket"], "Key": request["Key"], "UploadId": upload}

    def send(number: int) -> CompletedPartTypeDef:
        with file.open("rb") as source:
            source.seek((number - 1) * length)
            data = source.read(length)
        digest = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode("ascii")
        answer = client.upload_part(**where, PartNumber=number, Body=data, ContentMD5=digest)
        return {"PartNumber": number, "ETag": answer["ETag"]}

    senders = ThreadPoolExecutor(THREADS, thread_name_prefix="s3-part")
    try:
        parts = list(senders.map(send, range(1, -(-size // length) + 1)))
        return client.complete_multipart_upload(**where, MultipartUpload={"Parts": parts}).get("VersionId", "")
    except BaseException:
        senders.shutdown(cancel_futures=True)
        with contextlib.suppress(*FAULTS):
            client.abort_multipart_upload(**where)
        raise
    finally:
        senders.shutdown(cancel_futures=True)
