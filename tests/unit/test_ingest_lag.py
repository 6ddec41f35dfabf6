"""How late a frame was archived, and what the metrics make of it."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from adapters.ingest_metrics import IngestMetrics
from application.ingest_lag import ended_at, ingest_lag
from domain.frame_record import FrameRecord
from domain.frames import Frame


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("began", "utstop", "exposure", "ended"),
    [
        ("2024-01-01T03:00:00", "03:00:30.5", 99.0, "2024-01-01T03:00:30.500000"),
        ("2024-01-01T23:50:00", "00:05:00", None, "2024-01-02T00:05:00"),
        ("2024-01-01T12:00:00", "00:00:00", None, "2024-01-01T00:00:00"),  # 12 hours aren't more than 12
        ("2024-01-01T03:00:00", "", 30.0, "2024-01-01T03:00:30"),
        ("2024-01-01T03:00:00", "soon", 30.0, "2024-01-01T03:00:30"),
        ("2024-01-01T03:00:00", "25:00:00", 30.0, "2024-01-01T03:00:30"),
        ("2024-01-01T03:00:00", "", None, "2024-01-01T03:00:00"),
        ("2024-01-01T03:00:00", "", 1e300, "2024-01-01T03:00:00"),
    ],
)
def test_f10_an_exposure_ends_at_utstop_else_after_its_time(
    began: str, utstop: str, exposure: float | None, ended: str
) -> None:
    assert ended_at(at(began), utstop, exposure) == at(ended)


def frame(headers: bytes, observed: datetime | None) -> Frame:
    record = FrameRecord(basename="f", observation_date=observed, exposure_time=10.0)
    return Frame(record=record, headers=msgspec.Raw(headers))


def test_f10_the_lag_is_counted_from_the_headers_utstop_until_now() -> None:
    began, now = at("2024-01-01T03:00:00"), at("2024-01-01T03:01:30")
    assert ingest_lag(frame(b'{"A":1,"UTSTOP": "03:01:00"}', began), now) == 30.0
    assert ingest_lag(frame(b"{}", began), now) == 80.0
    assert ingest_lag(frame(b"{}", None), now) is None


def test_f10_the_metrics_bear_the_ingesters_names_and_tags() -> None:
    metrics = IngestMetrics("night-shift")
    ingested = frame(b"{}", at("2024-01-01T03:00:00"))
    metrics.took_in(ingested, 1000, 0.25, 0.5, at("2024-01-01T03:01:10"))
    metrics.posted(ingested, 0.002, at("2024-01-01T03:01:10"))
    sums = {
        line.split("{")[0]: float(line.rsplit(" ", 1)[1]) for line in metrics.text().splitlines() if "_sum{" in line
    }
    assert sums["ingester_get_md5_runtime_sum"] == 250.0
    assert sums["ingester_upload_file_runtime_sum"] == 500.0
    assert sums["ingester_s3_upload_bytes_per_second_sum"] == 2000.0
    assert sums["ingester_post_frame_runtime_sum"] == 2.0
    assert sums["ingester_ingest_lag_sum"] == 60.0
    for tag in ('ingester_process_name="night-shift"', 'host="', 'class_path="api.intake.take_in"'):
        assert tag in metrics.text()
