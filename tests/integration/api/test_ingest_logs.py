"""What each ingest leaves in the logs of the API."""

from __future__ import annotations

import structlog

from tests.records import fits_bytes, new_name, record
from tests.site import Site


def test_e14_each_ingest_logs_file_name_request_and_frame_and_failures_say_why(site: Site) -> None:
    body = record(request_id=4242)
    name = body["basename"] + ".fits.fz"
    with structlog.testing.capture_logs() as lines:
        created = site.post(body)
        site.admin.post("/frames/", json=body)
        site.admin.post("/frames/", json={**record(), "observation_day": "never"})
        site.admin.post("/frames/", content=b"{", headers={"content-type": "application/json"})
        own = new_name() + ".fits"
        data = fits_bytes(REQNUM=7)
        frame = site.ingest(data, own)
        site.admin.post("/api/v1/ingest", files={"file": (own, data)})
        site.admin.post("/api/v1/ingest", files={"file": (own, b"bad")})
    told = [line for line in lines if "filename" in line]
    assert [(line["event"], line["log_level"]) for line in told] == [
        ("frame ingested", "info"),
        ("ingest failed", "warning"),
        ("ingest failed", "warning"),
        ("ingest failed", "warning"),
        ("frame ingested", "info"),
        ("file is in the archive already", "info"),
        ("ingest failed", "warning"),
    ]
    assert (told[0]["filename"], told[0]["request_id"], told[0]["id"]) == (name, 4242, created["id"])
    assert (told[1]["filename"], told[1]["request_id"]) == (name, 4242)
    assert "already exists" in str(told[1]["errors"])
    assert "observation_day" in told[2]["errors"]
    assert "JSON" in str(told[3]["errors"])
    assert (told[4]["filename"], told[4]["request_id"], told[4]["id"]) == (own, 7, frame["id"])
    assert told[6]["errors"]
    assert site.admin_token not in str(lines)


def test_f10_the_api_counts_what_it_ingests(site: Site) -> None:
    site.post(record())
    metrics = site.anonymous.get("/metrics").text
    assert 'ingester_post_frame_runtime_count{class_path="api.ocs.frames.create_frame"' in metrics
    assert "ingester_ingest_lag_count" in metrics
