"""Observations, storage configurations, transfers, audit and events of the own API; S06-S29 of external storage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.emulators.gcs import RunningGcs
from tests.integration.api.deliveries import create, folder_body, gcs_body, observe, story, transfer, transfers
from tests.integration.api.test_own_ingest import is_problem
from tests.records import fits_bytes, new_name, record
from tests.site import PROPOSAL, Site, eventually

CONFIGS = "/api/v1/storage-configs"
OBSERVATIONS = "/api/v1/observations"


@pytest.fixture(scope="module")
def stranger(site: Site) -> httpx.Client:
    return site.client(site.new_user("mallory"))


def no_event(site: Site, answer: httpx.Response, status: int, before: int) -> dict[str, Any]:
    problem = is_problem(answer, status)
    assert site.events() == before
    return problem


def test_s12_s13_s14_s15_s16_s17_s63_a_folder_destination_is_created_and_shown(site: Site) -> None:
    body = folder_body(site, destination_path="observatory//fits-data/", path_template="$USER/$TARGET", comment="mine",
                       file_content="raw_and_calibrated", delete_from_server=True)  # fmt: skip
    card = create(site.user, body)
    expected = {
        "provider": "folder", "display_name": "NAS", "scope": "personal", "destination_path": "/observatory/fits-data",
        "path_template": "$USER/$TARGET", "file_content": "raw_and_calibrated", "delete_from_server": True,
        "enabled": True, "comment": "mine", "owner": "alice", "needs_authorization": False, "credentials_set": [],
    }  # fmt: skip
    assert {name: card[name] for name in expected} == expected
    assert site.user.get(f"{CONFIGS}/{card['id']}").json() == card
    assert card["id"] in [one["id"] for one in site.user.get(CONFIGS).json()["results"]]


def test_s12_s13_s14_s15_s16_s17_have_their_defaults(site: Site) -> None:
    card = create(site.user, folder_body(site))
    assert (card["destination_path"], card["path_template"], card["comment"]) == ("/", "", "")
    assert (card["file_content"], card["delete_from_server"], card["enabled"]) == ("raw", False, True)


def test_s22_no_answer_holds_a_secret(site: Site, gcs: RunningGcs) -> None:
    body = gcs_body(gcs)
    card = create(site.user, body)
    assert card["credentials_set"] == ["service_account_json"]
    key = json.loads(body["credentials"]["service_account_json"])["private_key"]
    for route in (CONFIGS, f"{CONFIGS}/{card['id']}", f"/api/v1/audit/storage-config/{card['id']}"):
        text = site.user.get(route).text
        assert key.splitlines()[3] not in text
        assert "PRIVATE KEY" not in text
        assert body["credentials"]["bucket"] in text


S3_KEYS = {"bucket": "frames", "access_key": "k", "secret_key": "hunter2"}
BAD_CONFIGS: list[tuple[dict[str, Any], str]] = [
    ({"display_name": ""}, "display name"),
    ({"display_name": "x" * 201}, "display name"),
    ({"display_name": "a\0"}, "null character"),
    ({"destination_path": "/a/../b"}, ".."),
    ({"destination_path": "/a\u202eb"}, "control characters"),
    ({"path_template": "$OBJECT/$TARGET"}, "$OBJECT"),
    ({"path_template": "x" * 501}, "template"),
    ({"file_content": "everything"}, "file_content"),
    ({"provider": "ftp"}, "provider"),
    ({"scope": "galaxy"}, "scope"),
    ({"enabled": "yes"}, "enabled"),
    ({"surprise": 1}, "surprise"),
    ({"credentials": {}}, "root"),
    ({"credentials": {"root": ""}}, "absolute"),
    ({"credentials": {"root": "relative"}}, "absolute"),
    ({"credentials": {"root": "/etc"}}, "STARFERRY_FOLDER_ROOTS"),
    ({"credentials": {"root": "/x", "password": "hunter2"}}, "password"),
    ({"credentials": "text"}, "credentials"),
    ({"provider": "google_cloud_storage", "credentials": {"bucket": "b"}}, "service_account_json"),
    ({"provider": "google_cloud_storage", "credentials": {"bucket": "b", "service_account_json": "{}"}}, "JSON key"),
    ({"provider": "google_cloud_storage", "credentials": {"bucket": "b", "service_account_json": "["}}, "JSON key"),
    ({"provider": "s3", "credentials": {"bucket": "frames", "access_key": "k"}}, "secret_key"),
    ({"provider": "s3", "credentials": S3_KEYS | {"secret_key": ""}}, "secret_key"),
    ({"provider": "s3", "credentials": S3_KEYS | {"bucket": "a/b"}}, "bucket"),
    ({"provider": "s3", "credentials": S3_KEYS | {"region": "x.evil.example/"}}, "region"),
    ({"provider": "s3", "credentials": S3_KEYS | {"endpoint": "ftp://s3.example.org"}}, "endpoint"),
    ({"provider": "s3", "credentials": S3_KEYS | {"endpoint": "https://10.0.0.1"}}, "STARFERRY_S3_NETWORKS"),
]


@pytest.mark.parametrize(("changes", "word"), BAD_CONFIGS)
def test_s11_s12_s13_a_bad_configuration_is_refused_with_a_reason(
    site: Site, changes: dict[str, Any], word: str
) -> None:
    before = site.events()
    problem = no_event(site, site.user.post(CONFIGS, json=folder_body(site, **changes)), 400, before)
    assert word in problem["detail"]
    assert "hunter2" not in problem["detail"]


def test_a_root_that_leads_out_by_a_link_is_refused(site: Site, tmp_path: Path) -> None:
    body = folder_body(site)
    link = Path(body["credentials"]["root"]) / "out"
    link.symlink_to(tmp_path)
    body["credentials"]["root"] = str(link)
    is_problem(site.user.post(CONFIGS, json=body), 400)


def test_anonymous_has_nothing_here(site: Site) -> None:
    for method, route in (
        ("GET", CONFIGS), ("POST", CONFIGS), ("GET", f"{CONFIGS}/x"), ("PATCH", f"{CONFIGS}/x"),
        ("DELETE", f"{CONFIGS}/x"), ("POST", f"{CONFIGS}/x/test"), ("POST", f"{CONFIGS}/x/retry-failed"),
        ("GET", OBSERVATIONS), ("POST", OBSERVATIONS), ("GET", f"{OBSERVATIONS}/x"), ("PATCH", f"{OBSERVATIONS}/x"),
        ("GET", "/api/v1/transfers"), ("GET", "/api/v1/transfers/x"), ("POST", "/api/v1/transfers/x/retry"),
        ("POST", "/api/v1/transfers/x/cancel"), ("GET", "/api/v1/audit/frame/x"), ("GET", "/api/v1/events"),
        ("POST", "/api/v1/frames/x/calibration"), ("GET", "/api/v1/destinations"),
        ("GET", "/api/v1/organizations"), ("POST", "/api/v1/organizations"), ("GET", "/api/v1/projects/x"),
        ("PATCH", "/api/v1/projects/x"), ("DELETE", "/api/v1/projects/x"), ("PUT", "/api/v1/projects/x/members/y"),
        ("DELETE", "/api/v1/projects/x/members/y"), ("POST", "/api/v1/projects/x/transfer-ownership"),
    ):  # fmt: skip
        problem = is_problem(site.anonymous.request(method, route), 401)
        assert problem["detail"] == "Authentication credentials were not provided.", (method, route)


def test_s06_others_learn_nothing_of_a_personal_destination(site: Site, stranger: httpx.Client) -> None:
    card = create(site.user, folder_body(site))
    route = f"{CONFIGS}/{card['id']}"
    missing = is_problem(stranger.get(f"{CONFIGS}/cfg-nothing"), 404)
    for answer in (
        stranger.get(route), stranger.patch(route, json={"comment": "x"}), stranger.delete(route),
        stranger.post(f"{route}/test"), stranger.post(f"{route}/retry-failed"),
    ):  # fmt: skip
        assert is_problem(answer, 404) == missing
    is_problem(stranger.get(f"/api/v1/audit/storage-config/{card['id']}"), 404)
    assert stranger.get(CONFIGS).json()["results"] == []
    assert site.admin.get(route).status_code == 200


def test_an_edit_changes_what_it_names(site: Site) -> None:
    card = create(site.user, folder_body(site, comment="keep"))
    route = f"{CONFIGS}/{card['id']}"
    edited = site.user.patch(route, json={"display_name": "New", "destination_path": "/b/"}).json()
    assert (edited["display_name"], edited["destination_path"], edited["comment"]) == ("New", "/b", "keep")
    assert site.user.patch(route, json={"enabled": False}).json()["enabled"] is False
    assert site.user.patch(route, json={}).json()["display_name"] == "New"
    for bad in ({"path_template": "$X"}, {"display_name": ""}, {"owner": "mallory"}, {"scope": "project"},
                {"credentials": {"root": "/etc"}}):  # fmt: skip
        before = site.events()
        no_event(site, site.user.patch(route, json=bad), 400, before)
    events = [entry["event"] for entry in story(site.user, "storage-config", card["id"])]
    assert events == ["storage_config.created", "storage_config.edited", "storage_config.disabled"]


def test_the_provider_of_a_configuration_never_changes(site: Site, gcs: RunningGcs) -> None:
    card = create(site.user, folder_body(site))
    before = site.events()
    no_event(site, site.user.patch(f"{CONFIGS}/{card['id']}", json={"provider": "google_cloud_storage"}), 409, before)
    assert site.user.patch(f"{CONFIGS}/{card['id']}", json={"provider": "folder"}).status_code == 200


def test_s24_an_edit_with_empty_credentials_keeps_the_stored_ones(site: Site, gcs: RunningGcs) -> None:
    body = gcs_body(gcs)
    card = create(site.user, body)
    stored = site.core.vault.get(card["id"])
    for credentials in ({}, {"service_account_json": ""}, {"service_account_json": "", "bucket": ""}):
        answer = site.user.patch(f"{CONFIGS}/{card['id']}", json={"comment": "x", "credentials": credentials})
        assert answer.status_code == 200, answer.text
        assert site.core.vault.get(card["id"]) == stored
        assert answer.json()["options"] == {"bucket": body["credentials"]["bucket"]}


def test_s25_deleting_a_configuration_destroys_its_secrets(site: Site, gcs: RunningGcs) -> None:
    card = create(site.user, gcs_body(gcs))
    route = f"{CONFIGS}/{card['id']}"
    assert site.core.vault.names(card["id"])
    answer = site.user.delete(route)
    assert (answer.status_code, answer.content) == (204, b"")
    assert not site.core.vault.names(card["id"])
    assert not site.core.vault.get(card["id"])
    for gone in (site.user.get(route), site.user.patch(route, json={}), site.user.delete(route),
                 site.user.post(f"{route}/test")):  # fmt: skip
        is_problem(gone, 404)
    assert [entry["event"] for entry in story(site.admin, "storage-config", card["id"])][-1] == "storage_config.deleted"


def test_s29_the_connection_test_checks_in_order_and_is_kept(site: Site, gcs: RunningGcs) -> None:
    for body in (folder_body(site), gcs_body(gcs)):
        card = create(site.user, body)
        route = f"{CONFIGS}/{card['id']}"
        result = site.user.post(f"{route}/test").json()
        assert result["ok"] is True
        assert [(check["name"], check["ok"]) for check in result["checks"]] == [
            ("credentials", True), ("destination", True), ("upload", True)]  # fmt: skip
        shown = site.user.get(route).json()
        assert shown["test_ok"] is True
        assert shown["tested_at"]


def test_s30_the_connection_test_tells_the_reasons_apart(site: Site, gcs: RunningGcs) -> None:
    revoked, missing, forbidden, nas = gcs_body(gcs), gcs_body(gcs), gcs_body(gcs), folder_body(site)
    cards = [create(site.user, body) for body in (revoked, missing, forbidden, nas)]
    gcs.emulator.accounts.revoke(json.loads(revoked["credentials"]["service_account_json"])["client_email"])
    gcs.emulator.store.run("DELETE FROM buckets WHERE name = ?", missing["credentials"]["bucket"])
    gcs.emulator.create_bucket(forbidden["credentials"]["bucket"], {"*": ["storage.buckets.get"]})
    Path(nas["credentials"]["root"]).rmdir()
    reasons = []
    for card, failed in zip(cards, ("credentials", "destination", "upload", "destination"), strict=True):
        result = site.user.post(f"{CONFIGS}/{card['id']}/test").json()
        assert result["ok"] is False
        assert result["checks"][-1]["name"] == failed or card["provider"] == "folder"
        assert [check["ok"] for check in result["checks"]] == [True] * (len(result["checks"]) - 1) + [False]
        shown = site.user.get(f"{CONFIGS}/{card['id']}").json()
        assert (shown["test_ok"], shown["test_reason"]) == (False, result["checks"][-1]["reason"])
        reasons.append(shown["test_reason"])
    assert len(set(reasons)) == 4
    assert all(reason.endswith(".") for reason in reasons)


def test_configurations_are_listed_newest_first_in_pages(site: Site) -> None:
    client = site.client(site.new_user("pager"))
    made = [create(client, folder_body(site))["id"] for _ in range(5)]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = client.get(CONFIGS, params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [card["id"] for card in page["results"]]
        cursor = page["next_cursor"]
    assert seen == made[::-1]


@pytest.mark.parametrize("route", [CONFIGS, OBSERVATIONS, "/api/v1/transfers"])
@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "limit=-1", "limit=%C2%B2", "cursor=x", "cursor=LTE=", "cursor=%00",
              "cursor=" + "OTk5" * 20, "limit=" + "9" * 5000],
)  # fmt: skip
def test_a_bad_page_is_refused(site: Site, route: str, query: str) -> None:
    is_problem(site.user.get(f"{route}?{query}"), 400)


def test_an_observation_is_submitted_and_shown(site: Site) -> None:
    config = create(site.user, folder_body(site))["id"]
    answer = site.user.post(OBSERVATIONS, json={"name": " Night ", "observation_id": 42, "project": PROPOSAL,
                                                "target": "M31", "destinations": [config, config]})  # fmt: skip
    assert answer.status_code == 201
    created = answer.json()
    assert (created["id"], created["owner"]) == ("42", "alice")
    shown = site.user.get(f"{OBSERVATIONS}/42").json()
    expected = {"id": "42", "name": "Night", "observation_id": 42, "project": PROPOSAL, "target": "M31",
                "destinations": [config], "owner": "alice"}  # fmt: skip
    assert {name: shown[name] for name in expected} == expected
    assert "42" in [row["id"] for row in site.user.get(OBSERVATIONS).json()["results"]]
    unnumbered = site.user.post(OBSERVATIONS, json={"name": "Other"}).json()
    assert site.user.get(f"{OBSERVATIONS}/{unnumbered['id']}").json()["observation_id"] is None


@pytest.mark.parametrize(
    "body",
    [{}, {"name": ""}, {"name": "x" * 201}, {"name": "a\0"}, {"name": 5}, {"name": "a", "observation_id": -1},
     {"name": "a", "observation_id": 2**31}, {"name": "a", "observation_id": "7"}, {"name": "a", "destinations": "x"},
     {"name": "a", "destinations": ["cfg-nothing"]}, {"name": "a", "destinations": [None]},
     {"name": "a", "surprise": 1}, [], None, {"name": "a", "target": "x\0y"}],
)  # fmt: skip
def test_a_bad_observation_is_refused(site: Site, body: Any) -> None:
    before = site.events()
    no_event(site, site.user.post(OBSERVATIONS, json=body), 400, before)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"name": "\xff"}', b"[" * 50_000, b'{"name": "\\ud800"}'])
def test_a_body_that_is_no_json_is_refused(site: Site, body: bytes) -> None:
    for route in (OBSERVATIONS, CONFIGS):
        is_problem(site.user.post(route, content=body, headers={"Content-Type": "application/json"}), 400)


def test_s10_s33_only_destinations_that_may_be_selected_now_are(site: Site, stranger: httpx.Client) -> None:
    own, foreign = create(site.user, folder_body(site))["id"], create(stranger, folder_body(site))["id"]
    disabled = create(site.user, folder_body(site, enabled=False))["id"]
    deleted = create(site.user, folder_body(site))["id"]
    site.user.delete(f"{CONFIGS}/{deleted}")
    number = observe(site.user, own)
    for bad, word in ((foreign, "no storage configuration"), (disabled, "disabled"), (deleted, "no storage"),
                      ("cfg-nothing", "no storage")):  # fmt: skip
        before = site.events()
        for answer in (
            site.user.post(OBSERVATIONS, json={"name": "x", "destinations": [own, bad]}),
            site.user.patch(f"{OBSERVATIONS}/{number}", json={"destinations": [own, bad]}),
        ):
            problem = no_event(site, answer, 400, before)
            assert word in problem["detail"]
            assert problem["field"] == "destinations"


def test_an_observation_is_submitted_once(site: Site, stranger: httpx.Client) -> None:
    number = observe(site.user)
    for client in (site.user, stranger):
        before = site.events()
        no_event(site, client.post(OBSERVATIONS, json={"name": "again", "observation_id": number}), 409, before)
    assert site.user.get(f"{OBSERVATIONS}/{number}").json()["name"] == "Night"


def test_others_learn_nothing_of_an_observation(site: Site, stranger: httpx.Client) -> None:
    number = observe(site.user)
    is_problem(stranger.get(f"{OBSERVATIONS}/{number}"), 404)
    is_problem(stranger.patch(f"{OBSERVATIONS}/{number}", json={"destinations": []}), 404)
    is_problem(stranger.get(f"/api/v1/audit/observation/{number}"), 404)
    assert str(number) not in [row["id"] for row in stranger.get(OBSERVATIONS).json()["results"]]
    member = site.client(site.new_user("member", proposals=("P-SHARED",)))
    shared = observe(site.user, project="P-SHARED")
    assert member.get(f"{OBSERVATIONS}/{shared}").status_code == 200


def test_other_destinations_get_what_arrived_before(site: Site) -> None:
    number = observe(site.user)
    data, name = fits_bytes(BLKUID=number), new_name()
    site.ingest(data, f"{name}.fits")
    body = folder_body(site)
    config = create(site.user, body)["id"]
    changed = site.user.patch(f"{OBSERVATIONS}/{number}", json={"destinations": [config]})
    assert changed.json() == {"id": str(number), "destinations": [config]}
    transfer(site.user, "completed", observation=str(number))
    assert (Path(body["credentials"]["root"]) / f"{name}.fits").read_bytes() == data


def test_transfers_are_filtered_and_paged(site: Site, stranger: httpx.Client) -> None:
    configs = [create(site.user, folder_body(site))["id"] for _ in range(2)]
    number = observe(site.user, *configs)
    names = [new_name() for _ in range(3)]
    for name in names:
        site.ingest(fits_bytes(BLKUID=number), f"{name}.fits")
    eventually(lambda: len(transfers(site.user, observation=number, status="completed")) == 6, "not all delivered")
    rows = transfers(site.user, observation=number)
    keys = {"id", "status", "attempts", "next_attempt_at", "bytes_sent", "bytes_total", "destination_path", "error",
            "storage_config", "frame", "content", "requested_at", "completed_at"}  # fmt: skip
    assert all(row.keys() >= keys for row in rows)
    assert all(row["bytes_sent"] == row["bytes_total"] > 0 and row["error"] is None for row in rows)
    assert len(transfers(site.user, storage_config=configs[0])) == 3
    assert {row["storage_config"] for row in transfers(site.user, frame=names[0])} == set(configs)
    assert transfers(site.user, observation=number, status="failed") == []
    assert transfers(site.user, observation=number, content="calibrated") == []
    for bad in ({"status": "lost"}, {"frame": "a\0"}, {"observation": "\0"}):
        is_problem(site.user.get("/api/v1/transfers", params=bad), 400)
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        parameters: dict[str, Any] = {"observation": number, "limit": 4, **({"cursor": cursor} if cursor else {})}
        page = site.user.get("/api/v1/transfers", params=parameters).json()
        seen += [row["id"] for row in page["results"]]
        cursor = page["next_cursor"]
    assert seen == [row["id"] for row in rows]
    assert transfers(stranger, observation=number) == []
    for route in (f"/api/v1/transfers/{seen[0]}", f"/api/v1/audit/transfer/{seen[0]}"):
        is_problem(stranger.get(route), 404)
    card = site.user.get(f"{CONFIGS}/{configs[0]}").json()
    assert card["transfers"] == {"completed": 3}


def test_s62_an_observation_lists_each_file_with_each_destination(site: Site) -> None:
    configs = [create(site.user, folder_body(site, destination_path="/x"))["id"] for _ in range(2)]
    number = observe(site.user, *configs)
    names = [new_name() for _ in range(2)]
    for name in names:
        site.ingest(fits_bytes(BLKUID=number), f"{name}.fits")
    eventually(lambda: len(transfers(site.user, observation=number, status="completed")) == 4, "not all delivered")
    rows = site.user.get(f"{OBSERVATIONS}/{number}").json()["transfers"]
    assert {(row["frame"], row["storage_config"]) for row in rows} == {(name, one) for name in names for one in configs}
    assert {(row["status"], row["attempts"], row["error"], row["next_attempt_at"]) for row in rows} == {
        ("completed", 1, None, None)
    }
    assert all(row["destination_path"] == f"/x/{row['frame']}.fits" for row in rows)
    assert all(row["bytes_sent"] == row["bytes_total"] > 0 for row in rows)


def test_s63_a_card_tells_of_the_last_test_and_counts_transfers_by_status(site: Site) -> None:
    body = folder_body(site)
    card = create(site.user, body)
    route = f"{CONFIGS}/{card['id']}"
    assert (card["tested_at"], card["test_ok"], card["test_reason"], card["transfers"]) == (None, None, None, {})
    number = observe(site.user, card["id"])
    site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")
    transfer(site.user, "completed", observation=number)
    Path(body["credentials"]["root"]).rename(Path(body["credentials"]["root"] + "-away"))
    tested = site.user.post(f"{route}/test").json()
    shown = site.user.get(route).json()
    assert (shown["test_ok"], shown["test_reason"]) == (False, "The destination folder does not exist.")
    assert shown["tested_at"]
    assert tested["checks"][-1]["reason"] == shown["test_reason"]
    assert shown["transfers"] == {"completed": 1}
    assert (shown["needs_authorization"], shown["account"], shown["paused_until"]) == (False, "", None)


def test_retry_and_cancel_need_the_right_state(site: Site, stranger: httpx.Client) -> None:
    number = observe(site.user, create(site.user, folder_body(site))["id"])
    site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")
    done = transfer(site.user, "completed", observation=number)
    for what in ("retry", "cancel"):
        before = site.events()
        problem = no_event(site, site.user.post(f"/api/v1/transfers/{done['id']}/{what}"), 409, before)
        assert "completed" in problem["detail"]
        is_problem(stranger.post(f"/api/v1/transfers/{done['id']}/{what}"), 404)
        is_problem(site.user.post(f"/api/v1/transfers/nothing/{what}"), 404)


def test_s48_a_waiting_transfer_is_cancelled(site: Site) -> None:
    number = observe(site.user, create(site.user, folder_body(site))["id"])
    site.jobs.paused.set()
    try:
        site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")
        waiting = transfer(site.user, "pending", observation=number)
        cancelled = site.user.post(f"/api/v1/transfers/{waiting['id']}/cancel")
        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
        again = site.user.post(f"/api/v1/transfers/{waiting['id']}/cancel")
        assert again.json()["status"] == "cancelled", "cancelling twice changes nothing"
        assert "alice" in again.json()["error"]
        is_problem(site.user.post(f"/api/v1/transfers/{waiting['id']}/retry"), 409)
    finally:
        site.jobs.paused.clear()
    site.jobs.carry(waiting["id"])
    assert transfer(site.user, "cancelled", observation=number)["attempts"] == 0


def test_s34_deleting_a_configuration_cancels_what_waits(site: Site) -> None:
    config = create(site.user, folder_body(site))["id"]
    number = observe(site.user, config)
    site.jobs.paused.set()
    try:
        site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")
        transfer(site.user, "pending", observation=number)
        site.user.delete(f"{CONFIGS}/{config}")
        assert "deleted" in transfer(site.user, "cancelled", observation=number)["error"]
    finally:
        site.jobs.paused.clear()


def test_the_audit_tells_order_who_and_why(site: Site) -> None:
    number = observe(site.user, create(site.user, folder_body(site))["id"])
    name = new_name()
    site.settle()  # else the selection of destinations may find the file before the file itself is looked at
    site.ingest(fits_bytes(BLKUID=number), f"{name}.fits")
    done = transfer(site.user, "completed", observation=number)
    told = story(site.user, "transfer", done["id"])
    assert [entry["event"] for entry in told] == ["transfer.requested", "transfer.started", "transfer.completed"]
    assert [entry["actor"] for entry in told] == ["policy:DeliverToDestinations", "test-worker", "test-worker"]
    assert [entry["via"] for entry in told] == ["policy", "worker", "worker"]
    life = story(site.admin, "frame", name)
    assert [entry["event"] for entry in life] == ["frame.file_processed", *(entry["event"] for entry in told)]
    assert [entry["position"] for entry in life] == sorted(entry["position"] for entry in life)
    processed, requested = life[:2]
    assert (processed["actor"], processed["via"]) == ("admin", "api")
    assert requested["causation"] == processed["position"]
    assert len({entry["correlation"] for entry in life}) == 1, "all that one request led to"
    assert "headers" not in processed["data"]
    early = site.admin.get(f"/api/v1/audit/frame/{name}", params={"at": processed["at"]}).json()["results"]
    assert [entry["event"] for entry in early] == ["frame.file_processed"]


@pytest.mark.parametrize(
    ("route", "status"),
    [("/api/v1/audit/frame/nothing", 404), ("/api/v1/audit/planet/x", 400), ("/api/v1/audit/transfer/x", 404),
     ("/api/v1/audit/frame/%00", 404), ("/api/v1/audit/account/admin?at=yesterday", 400),
     ("/api/v1/storage-configs/%00", 404), ("/api/v1/transfers/x%00y", 404), ("/api/v1/observations/%FF", 404),
     ("/api/v1/observations/" + "x" * 5000, 404), ("/api/v1/events?after=-1", 400), ("/api/v1/events?limit=0", 400),
     ("/api/v1/events?after=%C2%B2", 400), ("/api/v1/events?after=" + "9" * 30, 400), ("/api/v1/nothing", 404),
     ("/api/v1/", 404), ("/api/v1", 404), ("/api/v1/observations/1/2/3", 404)],
)  # fmt: skip
def test_every_error_is_a_problem(site: Site, route: str, status: int) -> None:
    is_problem(site.admin.get(route), status)


def test_a_wrong_method_is_a_problem_too(site: Site) -> None:
    answer = site.admin.delete("/api/v1/events")
    is_problem(answer, 405)
    assert "GET" in answer.headers["allow"]


def test_a_bad_token_is_a_problem_too(site: Site) -> None:
    answer = site.anonymous.get("/api/v1/transfers", headers={"Authorization": "Token x"})
    assert is_problem(answer, 401)["detail"] == "Invalid token."
    assert answer.headers["www-authenticate"] == "Token"


def test_the_event_feed_is_complete_in_order_and_for_superusers(site: Site) -> None:
    is_problem(site.user.get("/api/v1/events"), 403)
    site.post(record())
    seen: list[int] = []
    after = 0
    while True:
        page = site.admin.get("/api/v1/events", params={"after": after, "limit": 7}).json()
        if page["next"] == after:
            break
        seen += [entry["position"] for entry in page["results"]]
        after = page["next"]
    assert seen == sorted(set(seen))
    assert len(seen) == site.core.log.head() == seen[-1]


def test_the_process_says_that_it_is_ready(site: Site) -> None:
    assert site.anonymous.get("/healthz").json() == {"status": "ok"}
    ready = site.anonymous.get("/readyz").json()
    assert ready["ready"] is True
    assert "starferry_log_position" in site.anonymous.get("/metrics").text


def test_s11_what_was_written_says_so_also_when_the_read_models_are_behind(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """404 would make whoever asked send it again."""
    monkeypatch.setattr("api.read_gate.WAIT_SECONDS", 0.2)
    body = folder_body(site)
    with psycopg.connect(site.core.conninfo) as holding:
        holding.execute("SELECT 1 FROM starferry.projection FOR UPDATE")
        made = site.user.post("/api/v1/storage-configs", json=body)
        group = site.user.post("/api/v1/projects", json={"name": "Behind"})
    assert (made.status_code, list(made.json())) == (201, ["id"])
    assert (group.status_code, list(group.json())) == (201, ["id"])
    site.settle()
    assert site.user.get(f"/api/v1/storage-configs/{made.json()['id']}").json()["display_name"] == body["display_name"]
    assert site.user.get(f"/api/v1/projects/{group.json()['id']}").json()["name"] == "Behind"
