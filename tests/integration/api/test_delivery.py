"""Files on their way to destinations, asked for and watched over HTTP (external storage S31-S61)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.emulators.gcs import RunningGcs
from tests.emulators.gcs_auth import public_pem, service_account
from tests.integration.api.deliveries import (
    create,
    folder_body,
    gcs_body,
    objects,
    observe,
    story,
    transfer,
    transfers,
)
from tests.integration.api.test_own_ingest import is_problem
from tests.records import FUTURE, fits_bytes, new_name
from tests.site import PROPOSAL, Site, eventually


@pytest.fixture(autouse=True)
def _no_faults_left(gcs: RunningGcs) -> None:
    gcs.server.faults.clear()


def email(body: dict[str, Any]) -> str:
    """The account of a Cloud Storage destination."""
    address: str = json.loads(body["credentials"]["service_account_json"])["client_email"]
    return address


def test_s04_s13_a_file_goes_to_a_folder_by_its_template(site: Site) -> None:
    body = folder_body(site, destination_path="/fits-data", path_template="$USER/$PROJECT/$TARGET")
    number = observe(site.user, create(site.user, body)["id"], project="Galaxy Survey", target="M 31/..")
    data, name = fits_bytes(BLKUID=number), new_name()
    site.ingest(data, f"{name}.fits")
    done = transfer(site.user, "completed", observation=number)
    assert done["destination_path"].startswith("/fits-data/alice/Galaxy_Survey/M_31")
    assert done["destination_path"].endswith(f"/{name}.fits")
    root = Path(body["credentials"]["root"])
    assert [file.read_bytes() for file in root.rglob("*") if file.is_file()] == [data]
    assert (root / done["destination_path"].lstrip("/")).read_bytes() == data
    assert (done["bytes_sent"], done["bytes_total"], done["attempts"]) == (len(data), len(data), 1)
    assert done["completed_at"] >= done["requested_at"]


def test_a_file_goes_to_cloud_storage_and_the_story_is_told(site: Site, gcs: RunningGcs) -> None:
    body = gcs_body(gcs, destination_path="/night")
    number = observe(site.user, create(site.user, body)["id"])
    data, name = fits_bytes(BLKUID=number, shape=(64, 64)), new_name()
    site.ingest(data, f"{name}.fits")
    done = transfer(site.user, "completed", observation=number)
    assert objects(gcs, body["credentials"]["bucket"]) == {f"night/{name}.fits": data}
    told = story(site.user, "transfer", done["id"])
    assert [(entry["event"], entry["actor"]) for entry in told] == [
        ("transfer.requested", "policy:DeliverToDestinations"),
        ("transfer.started", "test-worker"),
        ("transfer.completed", "test-worker"),
    ]
    assert told[-1]["data"]["verified"], "by the destination's own checksum"


def test_s43_a_passing_fault_is_tried_again_by_the_schedule(site: Site, gcs: RunningGcs) -> None:
    body = gcs_body(gcs)
    number = observe(site.user, create(site.user, body)["id"])
    gcs.fault(path=f"/b/{body['credentials']['bucket']}/o", status=503, times=2)
    data = fits_bytes(BLKUID=number)
    site.ingest(data, f"{new_name()}.fits")
    done = transfer(site.user, "completed", observation=number)
    assert list(objects(gcs, body["credentials"]["bucket"]).values()) == [data]
    told = story(site.user, "transfer", done["id"])
    failures = [entry for entry in told if entry["event"] == "transfer.attempt_failed"]
    assert done["attempts"] == len(failures) + 1
    assert failures, "a fault that nobody noticed would prove nothing"
    assert all("503" in entry["data"]["reason"] for entry in failures)
    assert done["error"] is None


def test_s43_s47_the_fourth_failure_is_final_and_a_retry_begins_anew(site: Site, gcs: RunningGcs) -> None:
    body = gcs_body(gcs)
    config = create(site.user, body)["id"]
    number = observe(site.user, config)
    gcs.fault(path=f"/b/{body['credentials']['bucket']}/o", status=503, times=0)
    site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")
    failed = transfer(site.user, "failed", observation=number)
    assert failed["attempts"] == 4
    assert "503" in failed["error"]
    assert failed["next_attempt_at"] is None
    gcs.server.faults.clear()
    answer = site.user.post(f"/api/v1/transfers/{failed['id']}/retry")
    assert answer.status_code == 200
    assert transfer(site.user, "completed", observation=number)["attempts"] == 5


def test_a_wrong_bucket_fails_at_once_with_its_reason(site: Site, gcs: RunningGcs) -> None:
    body = gcs_body(gcs)
    bucket = body["credentials"]["bucket"]
    gcs.emulator.store.run("DELETE FROM buckets WHERE name = ?", bucket)
    config = create(site.user, body)["id"]
    number = observe(site.user, config)
    for _ in range(2):
        site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")
    eventually(lambda: len(transfers(site.user, observation=number, status="failed")) == 2, "they didn't fail")
    for failed in transfers(site.user, observation=number):
        assert failed["attempts"] == 1
        assert "bucket does not exist" in failed["error"]
    assert site.user.get(f"/api/v1/storage-configs/{config}").json()["transfers"] == {"failed": 2}
    gcs.emulator.create_bucket(bucket)
    retried = site.user.post(f"/api/v1/storage-configs/{config}/retry-failed").json()["retried"]
    assert len(retried) == 2
    eventually(lambda: len(transfers(site.user, observation=number, status="completed")) == 2, "not delivered")
    assert len(objects(gcs, bucket)) == 2
    assert site.user.post(f"/api/v1/storage-configs/{config}/retry-failed").json() == {"retried": []}


def test_s35_resubmitting_makes_a_new_observation_with_the_same_destinations(site: Site, gcs: RunningGcs) -> None:
    config = create(site.admin, gcs_body(gcs))
    number, again = 1_700_000_101, 1_700_000_102
    first = {"name": "M31 in V", "observation_id": number, "target": "M31", "destinations": [config["id"]]}
    assert site.admin.post("/api/v1/observations", json=first).status_code == 201
    made = site.admin.post(f"/api/v1/observations/{number}/resubmit", json={"observation_id": again})
    assert made.status_code == 201, made.text
    body = made.json()
    assert {name: body[name] for name in ("name", "target", "destinations")} == {
        name: first[name] for name in ("name", "target", "destinations")
    }
    assert body["id"] == str(again)
    unnumbered = site.admin.post(f"/api/v1/observations/{number}/resubmit", json={}).json()
    assert unnumbered["id"] not in (str(number), str(again))
    site.settle()
    assert site.admin.get(f"/api/v1/observations/{again}").json()["destinations"] == [config["id"]]
    taken = site.admin.post(f"/api/v1/observations/{number}/resubmit", json={"observation_id": again})
    assert taken.status_code == 409
    stranger = site.client(site.new_user(f"stranger-{number}"))
    assert stranger.post(f"/api/v1/observations/{number}/resubmit", json={}).status_code == 404
    assert site.anonymous.post(f"/api/v1/observations/{number}/resubmit", json={}).status_code == 401


def test_s47_all_failed_transfers_of_an_observation_are_retried_in_one_call(site: Site, gcs: RunningGcs) -> None:
    bodies = [gcs_body(gcs) for _ in range(2)]
    buckets = [body["credentials"]["bucket"] for body in bodies]
    configs = [create(site.user, body)["id"] for body in bodies]
    for bucket in buckets:
        gcs.emulator.store.run("DELETE FROM buckets WHERE name = ?", bucket)
    number, other = observe(site.user, *configs), observe(site.user, configs[0])
    for observation in (number, other):
        site.ingest(fits_bytes(BLKUID=observation), f"{new_name()}.fits")
        expected = 2 if observation == number else 1
        eventually(
            lambda observation=observation, expected=expected: (
                len(transfers(site.user, observation=observation, status="failed")) == expected
            ),
            "they didn't fail",
        )
    for bucket in buckets:
        gcs.emulator.create_bucket(bucket)
    route = f"/api/v1/observations/{number}/retry-failed"
    retried = site.user.post(route).json()["retried"]
    assert sorted(retried) == sorted(row["id"] for row in transfers(site.user, observation=number))
    eventually(lambda: len(transfers(site.user, observation=number, status="completed")) == 2, "not delivered")
    assert [row["status"] for row in transfers(site.user, observation=other)] == ["failed"], "another observation's"
    assert site.user.post(route).json() == {"retried": []}
    assert [entry["actor"] for entry in story(site.user, "transfer", retried[0]) if "retried" in entry["event"]] == [
        "alice"
    ]


def test_s45_revoked_credentials_hold_transfers_until_new_ones_come(site: Site, gcs: RunningGcs) -> None:
    body = gcs_body(gcs)
    config = create(site.user, body)["id"]
    number = observe(site.user, config)
    gcs.emulator.accounts.revoke(email(body))
    data = fits_bytes(BLKUID=number)
    site.ingest(data, f"{new_name()}.fits")
    held = transfer(site.user, "pending", observation=number, when=lambda row: row["held"])
    assert held["error"]
    route = f"/api/v1/storage-configs/{config}"
    card = eventually(
        lambda: (found := site.user.get(route).json())["needs_authorization"] and found, "nobody was told"
    )
    assert card["reason"]
    later = fits_bytes(BLKUID=number)
    site.ingest(later, f"{new_name()}.fits")
    eventually(lambda: [row["held"] for row in transfers(site.user, observation=number)] == [True, True], "not held")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    gcs.emulator.accounts.register(email(body), "second-key", public_pem(key))
    account = json.dumps(service_account(email(body), key, "second-key"))
    answer = site.user.patch(route, json={"credentials": {"service_account_json": account}})
    assert answer.json()["needs_authorization"] is False
    eventually(lambda: len(transfers(site.user, observation=number, status="completed")) == 2, "not delivered")
    assert sorted(objects(gcs, body["credentials"]["bucket"]).values()) == sorted([data, later])
    told = [entry["event"] for entry in story(site.user, "transfer", held["id"])]
    assert "transfer.held" in told
    assert "transfer.attempt_failed" not in told, "no attempt is used up"


def test_s54_s55_a_file_leaves_the_server_only_when_all_have_it_and_stays_searchable(
    site: Site, gcs: RunningGcs
) -> None:
    keeps, asks = gcs_body(gcs), folder_body(site, delete_from_server=True)
    configs = [create(site.user, body)["id"] for body in (keeps, asks)]
    number = observe(site.user, *configs)
    gcs.fault(path=f"/b/{keeps['credentials']['bucket']}/o", status=503, times=0)
    data, name = fits_bytes(BLKUID=number, PROPID=PROPOSAL, OBJECT="Leaving"), new_name()
    frame = site.ingest(data, f"{name}.fits")
    transfer(site.user, "completed", storage_config=configs[1])
    failed = transfer(site.user, "failed", storage_config=configs[0])
    assert site.anonymous.get(frame["url"]).content == data, "one destination still lacks it"
    gcs.server.faults.clear()
    site.user.post(f"/api/v1/transfers/{failed['id']}/retry")
    transfer(site.user, "completed", storage_config=configs[0])
    eventually(lambda: site.anonymous.get(frame["url"]).status_code == 404, "the file is still there")
    eventually(lambda: not [path for path in site.files() if name in path.name], "its bytes are still there")
    assert "deleted" in site.anonymous.get(frame["url"]).json()["detail"]
    (found,) = site.user.get("/frames/", params={"OBJECT": "Leaving"}).json()["results"]
    assert found["basename"] == name
    deletion = story(site.admin, "frame", name)[-1]
    assert deletion["event"] == "frame.file_deleted_from_server"
    assert deletion["actor"] == "policy:DeleteWhenAllDelivered"
    ids = {row["id"] for row in transfers(site.user, observation=number)}
    assert set(deletion["data"]["justified_by"]) == ids
    copies = [Path(asks["credentials"]["root"]) / f"{name}.fits"]
    assert [copy.read_bytes() for copy in copies] == [data]
    assert objects(gcs, keeps["credentials"]["bucket"]) == {f"{name}.fits": data}


def test_s61_a_calibrated_file_follows_its_raw_frame(site: Site) -> None:
    both, raw_only = folder_body(site, file_content="raw_and_calibrated"), folder_body(site)
    number = observe(site.user, *(create(site.user, body)["id"] for body in (both, raw_only)))
    raw, name = fits_bytes(BLKUID=number), new_name()
    site.ingest(raw, f"{name}.fits")
    calibrated = fits_bytes(BLKUID=number, RLEVEL=91)
    site.ingest(calibrated, f"{name}-e91.fits", calibrated_from=name)
    eventually(lambda: len(transfers(site.user, observation=number, status="completed")) == 3, "not all delivered")
    root = Path(both["credentials"]["root"])
    assert {path.name: path.read_bytes() for path in root.iterdir()} == {
        f"{name}.fits": raw, f"{name}-e91_calibrated.fits": calibrated}  # fmt: skip
    assert [path.name for path in Path(raw_only["credentials"]["root"]).iterdir()] == [f"{name}.fits"]
    assert [row["content"] for row in transfers(site.user, observation=number, content="calibrated")] == ["calibrated"]
    life = [entry["event"] for entry in story(site.admin, "frame", name)]
    assert "frame.calibration_completed" in life
    assert name in [site.admin.get(f"/frames/{frame}/").json()["basename"] for frame in
                    site.admin.get("/frames/", params={"basename_exact": f"{name}-e91"}).json()["results"][0]
                    ["related_frames"]]  # fmt: skip


def test_s54_a_raw_file_waits_for_its_calibrated_one(site: Site) -> None:
    body = folder_body(site, file_content="raw_and_calibrated", delete_from_server=True)
    number = observe(site.user, create(site.user, body)["id"])
    name = new_name()
    site.ingest(fits_bytes(BLKUID=number, PROPID=PROPOSAL), f"{name}.fits")
    transfer(site.user, "completed", observation=number)
    site.settle()
    assert [path for path in site.files() if name in path.name], "a calibrated file is still expected"
    site.ingest(fits_bytes(BLKUID=number, PROPID=PROPOSAL, RLEVEL=91), f"{name}-e91.fits", calibrated_from=name)
    eventually(lambda: not [path for path in site.files() if name in path.name], "both should have left")


@pytest.mark.parametrize("outcome", ["failed", "no_masters"])
def test_s61_a_failed_calibration_no_longer_holds_back_deletion(site: Site, outcome: str) -> None:
    body = folder_body(site, file_content="raw_and_calibrated", delete_from_server=True)
    number = observe(site.user, create(site.user, body)["id"])
    name = new_name()
    site.ingest(fits_bytes(BLKUID=number, PROPID=PROPOSAL), f"{name}.fits")
    transfer(site.user, "completed", observation=number)
    route = f"/api/v1/frames/{name}/calibration"
    is_problem(site.user.post(route, json={"outcome": outcome}), 403)
    refused: tuple[Any, ...] = ({"outcome": "perhaps"}, {}, {"outcome": outcome, "reason": "a\0"}, [])
    for bad in refused:
        is_problem(site.admin.post(route, json=bad), 400)
    is_problem(site.admin.post("/api/v1/frames/nothing/calibration", json={"outcome": outcome}), 404)
    answer = site.admin.post(route, json={"outcome": outcome, "reason": "no flats that night"})
    assert (answer.status_code, answer.json()) == (200, {"frame": name, "outcome": outcome})
    eventually(lambda: not [path for path in site.files() if name in path.name], "the file should have left")
    (told,) = [entry for entry in story(site.admin, "frame", name) if entry["event"] == "frame.calibration_failed"]
    assert (told["actor"], told["reason"]) == ("admin", "no flats that night")
    assert [path.name for path in Path(body["credentials"]["root"]).iterdir()] == [f"{name}.fits"]


def test_a_calibrated_frame_cannot_have_failed(site: Site) -> None:
    number = observe(site.user)
    name = new_name()
    site.ingest(fits_bytes(BLKUID=number), f"{name}.fits")
    site.ingest(fits_bytes(BLKUID=number, RLEVEL=91), f"{name}-e91.fits", calibrated_from=name)
    eventually(
        lambda: "frame.calibration_completed" in [entry["event"] for entry in story(site.admin, "frame", name)],
        "the calibration wasn't noticed",
    )
    is_problem(site.admin.post(f"/api/v1/frames/{name}/calibration", json={"outcome": "failed"}), 409)


def test_s31_s32_settings_are_those_of_the_time_of_the_request(site: Site) -> None:
    body = folder_body(site, destination_path="/before")
    config = create(site.user, body)["id"]
    number = observe(site.user, config)
    site.jobs.paused.set()
    try:
        site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")
        waiting = transfer(site.user, "pending", observation=number)
        site.user.patch(f"/api/v1/storage-configs/{config}", json={"destination_path": "/after", "enabled": False})
        site.settle()  # workers have been told, and didn't hear
    finally:
        site.jobs.paused.clear()
    assert site.sweep()["nudged"] >= 1, "what nobody carries is found"
    assert transfer(site.user, "completed", observation=number)["destination_path"].startswith("/before/")
    assert waiting["destination_path"].startswith("/before/")


def test_two_files_of_one_name_never_overwrite_each_other(site: Site) -> None:
    body = folder_body(site)
    number = observe(site.user, create(site.user, body)["id"])
    name, versions = new_name(), [fits_bytes(BLKUID=number) for _ in range(2)]
    for data in versions:
        site.ingest(data, f"{name}.fits")
    eventually(lambda: len(transfers(site.user, observation=number, status="completed")) == 2, "not delivered")
    delivered = [path.read_bytes() for path in Path(body["credentials"]["root"]).iterdir()]
    assert sorted(delivered) == sorted(versions)


def test_a_proprietary_frame_only_goes_to_those_who_may_see_it(site: Site) -> None:
    """Whoever claims the number of somebody else's observation must not get its frames."""
    thief = site.client(site.new_user("thief"))
    body = folder_body(site)
    number = observe(thief, create(thief, body)["id"], project=PROPOSAL)
    site.ingest(fits_bytes(BLKUID=number, PROPID=PROPOSAL, L1PUBDAT=FUTURE[:-1]), f"{new_name()}.fits")
    open_frame = observe(thief, create(thief, folder_body(site))["id"])
    site.ingest(fits_bytes(BLKUID=open_frame), f"{new_name()}.fits")
    transfer(thief, "completed", observation=open_frame)
    assert transfers(thief, observation=number) == []
    assert list(Path(body["credentials"]["root"]).iterdir()) == []
