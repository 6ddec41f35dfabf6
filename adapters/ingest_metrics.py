"""The OCS ingester's metrics, for Prometheus: the names of OpenTSDB with `_` for `.`, its tags as labels, its units."""

from __future__ import annotations

import os
import socket
from datetime import datetime

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from application.ingest_lag import ingest_lag
from domain.frames import Frame

LABELS = ("ingester_process_name", "host", "class_path")
MILLISECONDS = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000)
BYTES_PER_SECOND = tuple(10.0**power for power in range(3, 11))
SECONDS = (1, 3, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 21_600, 86_400, 604_800)


FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The client library's variable: a folder where processes that share a port add up what they count."""


class IngestMetrics:
    """Counts what one process ingests, or all that share FOLDER. Safe to share between threads."""

    def __init__(self, process_name: str) -> None:
        self.registry = CollectorRegistry()
        self._process_name = process_name
        self._host = socket.gethostname()
        self._md5 = self._histogram("get_md5_runtime", "Milliseconds to read and hash a file.", MILLISECONDS)
        self._upload = self._histogram(
            "upload_file_runtime", "Milliseconds to check, keep and record a file.", MILLISECONDS
        )
        self._rate = self._histogram("s3_upload_bytes_per_second", "Bytes a second into the store.", BYTES_PER_SECOND)
        self._post = self._histogram("post_frame_runtime", "Milliseconds to record a frame.", MILLISECONDS)
        self._picture = self._histogram("post_thumbnail_runtime", "Milliseconds to record a thumbnail.", MILLISECONDS)
        self._lag = self._histogram("ingest_lag", "Seconds from the end of the exposure to the archive.", SECONDS)

    def took_in(self, frame: Frame, size: int, hashing: float | None, keeping: float, now: datetime) -> None:
        """A file of `size` bytes was read and hashed, then kept and recorded, in so many seconds each. `hashing` is
        None when the file was hashed as it came over the network."""
        where = "api.intake.take_in"
        if hashing is not None:
            self._labelled(self._md5, where).observe(hashing * 1000)
        self._labelled(self._upload, where).observe(keeping * 1000)
        if keeping > 0:
            self._labelled(self._rate, where).observe(size / keeping)
        self._observe_lag(frame, now, where)

    def posted(self, frame: Frame, seconds: float, now: datetime) -> None:
        """A record was stored in so many seconds."""
        where = "api.ocs.frames.create_frame"
        self._labelled(self._post, where).observe(seconds * 1000)
        self._observe_lag(frame, now, where)

    def pictured(self, seconds: float) -> None:
        """A thumbnail was recorded in so many seconds."""
        self._labelled(self._picture, "api.ocs.thumbnails.create_thumbnail").observe(seconds * 1000)

    def text(self) -> str:
        """Prometheus text format."""
        if FOLDER not in os.environ:
            return generate_latest(self.registry).decode()
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together).decode()

    def _observe_lag(self, frame: Frame, now: datetime, where: str) -> None:
        lag = ingest_lag(frame, now)
        if lag is not None:
            self._labelled(self._lag, where).observe(lag)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"ingester_{name}", meaning, LABELS, buckets=buckets, registry=self.registry)

    def _labelled(self, histogram: Histogram, class_path: str) -> Histogram:
        return histogram.labels(self._process_name, self._host, class_path)
