"""An S3 service on loopback for tests: moto's S3, reached over HTTP by the real client.

Of moto only the S3 is served. Its own server holds all of AWS and guesses from a request's signature which service is
meant: one signed by version 2 whose signature happens to have four slashes, one in a thousand, it answers with 500.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from adapters.file_store.s3_settings import S3Settings

ACCESS_KEY, SECRET_KEY = "AKIAOBSERVATORY", "the-secret-of-the-tests"


class S3Emulator:
    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.client: Any = boto3.session.Session().client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )

    def new_bucket(self, *, versioning: str = "Enabled") -> str:
        bucket = f"frames-{uuid.uuid4().hex}"  # the emulator forgets nothing while the process lives
        self.client.create_bucket(Bucket=bucket)
        if versioning:
            self.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": versioning})
        return bucket

    def settings(self, bucket: str, **other: Any) -> S3Settings:
        given: dict[str, Any] = {
            "bucket": bucket,
            "endpoint": self.endpoint,
            "region": "us-east-1",
            "access_key": ACCESS_KEY,
            "secret_key": SECRET_KEY,
            "addressing_style": "path",
        }
        return S3Settings(**given | other)


def _one_at_a_time() -> Callable[..., Any]:
    """Moto's S3, which can lose one of two versions of a key that come at the same moment."""
    app, alone = create_backend_app("s3"), threading.Lock()

    def answered(*request: Any) -> Any:
        with alone:
            return app(*request)

    return answered


@contextlib.contextmanager
def running_s3() -> Iterator[S3Emulator]:
    server = make_server("127.0.0.1", 0, _one_at_a_time(), threaded=True, request_handler=MotoRequestHandler)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield S3Emulator(f"http://127.0.0.1:{server.port}")
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
