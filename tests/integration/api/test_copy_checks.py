"""Copies that were delivered are checked on demand, over HTTP (S60)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.emulators.gcs import RunningGcs
from tests.integration.api.deliveries import create, folder_body, gcs_body, observe, story, transfer, transfers
from tests.integration.api.test_own_ingest import is_problem
from tests.records import fits_bytes, new_name
from tests.site import Site, eventually


class Delivered:
    """An observation with files at a folder destination."""

    def __init__(self, site: Site, files: int = 1, **changes: Any) -> None:
        self.body = folder_body(site, **changes)
        self.config = create(site.user, self.body)["id"]
        self.number = observe(site.user, self.config)
        for _ in range(files):
            site.ingest(fits_bytes(BLKUID=self.number), f"{new_name()}.fits")
        self.rows = eventually(lambda: self._completed(site, files), "the files didn't arrive")
        self.id = self.rows[0]["id"]
        self.route = f"/api/v1/transfers/{self.id}"

    def path(self, row: dict[str, Any]) -> Path:
        return Path(self.body["credentials"]["root"]) / row["destination_path"].lstrip("/")

    def _completed(self, site: Site, files: int) -> list[dict[str, Any]]:
        rows = transfers(site.user, observation=self.number, status="completed")
        return rows if len(rows) == files else []


def checked(client: httpx.Client, transfer_id: str) -> dict[str, Any]:
    """The transfer, once its check is done."""

    def look() -> dict[str, Any] | None:
        row: dict[str, Any] = client.get(f"/api/v1/transfers/{transfer_id}").json()
        return None if row["checking"] else row

    found = eventually(look, "the copy wasn't checked")
    assert found is not None
    return found


def test_s60_a_copy_is_verified_and_the_story_is_told(site: Site) -> None:
    copy = Delivered(site)
    assert (copy.rows[0]["copy"], copy.rows[0]["checking"]) == (None, False)
    asked = site.user.post(f"{copy.route}/verify")
    assert asked.status_code == 202, asked.text
    row = checked(site.user, copy.id)
    assert (row["status"], row["copy"], row["check_reason"]) == ("completed", "verified", None)
    assert row["checked_at"] > row["completed_at"]
    told = story(site.user, "transfer", copy.id)
    assert [(entry["event"], entry["actor"]) for entry in told][-2:] == [
        ("transfer.check_requested", "alice"),
        ("transfer.checked", "test-worker"),
    ]
    assert told[-1]["correlation"] == told[-2]["correlation"]
    assert told[-1]["data"]["verified"]["sha256"]


def test_s60_a_missing_copy_is_found_by_its_filter_and_delivered_again(site: Site) -> None:
    copy = Delivered(site)
    file = copy.path(copy.rows[0])
    data = file.read_bytes()
    file.unlink()
    site.user.post(f"{copy.route}/verify")
    row = checked(site.user, copy.id)
    assert (row["status"], row["copy"]) == ("completed", "missing")
    assert [one["id"] for one in transfers(site.user, copy="missing", observation=copy.number)] == [copy.id]
    assert site.user.post(f"{copy.route}/retry").status_code == 200
    again = transfer(site.user, "completed", observation=copy.number, when=lambda one: one["attempts"] == 2)
    assert (again["copy"], again["checked_at"]) == (None, None)
    assert file.read_bytes() == data


def test_s60_a_changed_copy_is_told_and_left_alone(site: Site) -> None:
    copy = Delivered(site)
    file = copy.path(copy.rows[0])
    file.write_bytes(b"processed")
    site.user.post(f"{copy.route}/verify")
    row = checked(site.user, copy.id)
    assert row["copy"] == "changed"
    assert "The copy has 9 bytes" in row["check_reason"]
    is_problem(site.user.post(f"{copy.route}/retry"), 409)
    assert file.read_bytes() == b"processed"


@pytest.mark.parametrize("what", ["storage-configs", "observations"])
def test_s60_all_copies_of_a_destination_or_an_observation_are_checked(site: Site, what: str) -> None:
    copy = Delivered(site, files=3)
    copy.path(copy.rows[1]).unlink()
    name = copy.config if what == "storage-configs" else copy.number
    asked = site.user.post(f"/api/v1/{what}/{name}/verify")
    assert (asked.status_code, asked.json()) == (202, {"checking": 3})
    found = [checked(site.user, row["id"])["copy"] for row in copy.rows]
    assert found == ["verified", "missing", "verified"]


def test_s60_only_a_completed_transfer_has_a_copy_to_check(site: Site) -> None:
    body = folder_body(site)
    number = observe(site.user, create(site.user, body)["id"])
    Path(body["credentials"]["root"]).rmdir()
    site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")
    failed = transfer(site.user, "failed", observation=number)
    is_problem(site.user.post(f"/api/v1/transfers/{failed['id']}/verify"), 409)
    assert site.user.post(f"/api/v1/observations/{number}/verify").json() == {"checking": 0}


def test_s60_checks_are_for_those_who_may_change_the_transfer(site: Site) -> None:
    copy = Delivered(site)
    stranger = site.client(site.new_user("stranger-to-checks"))
    is_problem(site.anonymous.post(f"{copy.route}/verify"), 401)
    for route in (copy.route, f"/api/v1/storage-configs/{copy.config}", f"/api/v1/observations/{copy.number}"):
        is_problem(stranger.post(f"{route}/verify"), 404)
    is_problem(site.user.get("/api/v1/transfers?copy=lost"), 400)
    assert [entry["event"] for entry in story(site.user, "transfer", copy.id)][-1] == "transfer.completed"


def test_s60_cloud_storage_is_asked_for_its_checksum_and_sends_no_file(site: Site, gcs: RunningGcs) -> None:
    body = gcs_body(gcs)
    bucket = body["credentials"]["bucket"]
    number = observe(site.user, create(site.user, body)["id"])
    site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")
    done = transfer(site.user, "completed", observation=number)
    before = len(gcs.requests())
    site.user.post(f"/api/v1/transfers/{done['id']}/verify")
    assert checked(site.user, done["id"])["copy"] == "verified"
    asked = [one for one in gcs.requests()[before:] if bucket in one["path"]]
    assert [one["method"] for one in asked] == ["GET"]
    assert "alt=media" not in asked[0]["path"]
    gcs.fault(path=f"/b/{bucket}/o", status=503, times=1)
    site.user.post(f"/api/v1/transfers/{done['id']}/verify")
    again = checked(site.user, done["id"])
    assert again["copy"] == "verified"
    told = [entry["event"] for entry in story(site.user, "transfer", done["id"])]
    assert told[-3:] == ["transfer.check_requested", "transfer.check_failed", "transfer.checked"]
