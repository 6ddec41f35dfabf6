"""Standing deliveries over HTTP and from the command line: who may have them, and what they deliver (S36)."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest
from click.testing import CliRunner, Result

from api.cli import cli
from tests.emulators.gcs import RunningGcs
from tests.integration.api.deliveries import create, folder_body, gcs_body, objects, observe, story, transfer, transfers
from tests.integration.api.test_own_ingest import is_problem
from tests.integration.api.test_scopes import ROLES, Scene
from tests.records import fits_bytes, new_name
from tests.site import PROPOSAL, Site, eventually

ROUTE = "/api/v1/standing-deliveries"
SECRET = "2999-01-01T00:00:00"


def stand(client: httpx.Client, *destinations: str, **changes: Any) -> dict[str, Any]:
    """A new standing delivery."""
    body = {"name": "Ours", "query": "site_id=nowhere", "destinations": destinations, **changes}
    answer = client.post(ROUTE, json=body)
    assert answer.status_code == 201, answer.text
    card: dict[str, Any] = answer.json()
    return card


def ingest(site: Site, **cards: Any) -> tuple[str, bytes]:
    name, data = new_name(), fits_bytes(**cards)
    site.ingest(data, f"{name}.fits")
    return name, data


def starferry(site: Site, *arguments: str) -> Result:
    data = str(site.core.settings.data)
    return CliRunner().invoke(cli, [*arguments, "--data", data], env={"DATABASE_URL": site.core.conninfo})


def test_s36_what_matches_is_delivered_as_it_arrives_and_the_story_is_told(site: Site) -> None:
    code, body = secrets.token_hex(8), folder_body(site, destination_path="/ours", path_template="$USER/$TARGET")
    config = create(site.user, body)["id"]
    ingest(site, SITEID=code, PROPID=PROPOSAL, L1PUBDAT=SECRET)
    card = stand(site.user, config, query=f"site_id={code}&reduction_level=0&target_name=ngc")
    assert card == {
        "id": card["id"], "name": "Ours", "owner": "alice", "scope": "personal", "scope_id": "",
        "query": f"site_id={code}&reduction_level=0&target_name=ngc", "destinations": [config], "paused": False,
        "created_at": card["created_at"], "problem": None,
    }  # fmt: skip
    name, data = ingest(site, SITEID=code, PROPID=PROPOSAL, L1PUBDAT=SECRET, OBJECT="NGC 7")
    ingest(site, SITEID=code, PROPID=PROPOSAL, L1PUBDAT=SECRET, OBJECT="M31")
    ingest(site, SITEID=code, PROPID=PROPOSAL, L1PUBDAT=SECRET, OBJECT="NGC 8", RLEVEL=91)
    ingest(site, SITEID=code, PROPID="P-OTHER", L1PUBDAT=SECRET, OBJECT="NGC 9")
    done = transfer(site.user, "completed", storage_config=config)
    assert done["destination_path"] == f"/ours/alice/NGC_7/{name}.fits"
    assert (Path(body["credentials"]["root"]) / done["destination_path"].lstrip("/")).read_bytes() == data
    site.settle()
    assert len(transfers(site.user, storage_config=config)) == 1
    told = story(site.user, "transfer", done["id"])[0]
    assert (told["actor"], told["reason"]) == ("policy:DeliverStandingQueries", f"standing delivery {card['id']}")
    assert [entry["event"] for entry in story(site.user, "frame", name)] == [
        "frame.file_processed", "frame.copy_wanted", "transfer.requested", "transfer.started", "transfer.completed",
    ]  # fmt: skip
    assert not site.failures()


def test_s36_others_who_see_the_frame_are_not_told_where_it_went(site: Site) -> None:
    code, config = secrets.token_hex(8), create(site.user, folder_body(site))["id"]
    stand(site.user, config, query=f"site_id={code}")
    name, _ = ingest(site, SITEID=code)
    transfer(site.user, "completed", storage_config=config)
    stranger = site.client(site.new_user(f"other-{secrets.token_hex(4)}"))
    assert [entry["event"] for entry in story(stranger, "frame", name)] == ["frame.file_processed"]
    assert "frame.copy_wanted" in [entry["event"] for entry in story(site.admin, "frame", name)]


def test_s36_a_pause_a_change_and_the_end_take_effect_and_stay_in_the_history(site: Site) -> None:
    code = secrets.token_hex(8)
    first, second = (create(site.user, folder_body(site))["id"] for _ in range(2))
    card = stand(site.user, first, query=f"site_id={code}")
    route = f"{ROUTE}/{card['id']}"
    assert site.user.patch(route, json={"paused": True}).json()["paused"] is True
    ingest(site, SITEID=code)
    site.settle()
    changed = site.user.patch(route, json={"paused": False, "name": "Theirs", "destinations": [second]}).json()
    assert (changed["name"], changed["destinations"], changed["query"]) == ("Theirs", [second], f"site_id={code}")
    name, _ = ingest(site, SITEID=code)
    assert transfer(site.user, "completed", storage_config=second)["frame"] == name
    assert site.user.delete(route).status_code == 204
    ingest(site, SITEID=code)
    site.settle()
    assert len(transfers(site.user, storage_config=second)) == 1
    assert not transfers(site.user, storage_config=first)
    is_problem(site.user.get(route), 404)
    is_problem(site.user.patch(route, json={"paused": True}), 404)
    assert card["id"] not in [row["id"] for row in site.user.get(ROUTE).json()["results"]]
    told = [entry["event"] for entry in story(site.admin, "standing-delivery", card["id"])]
    assert told == [f"standing_delivery.{what}" for what in ("created", "changed", "changed", "ended")]


def test_s36_s54_an_observations_file_stays_until_its_standing_delivery_has_it(site: Site, gcs: RunningGcs) -> None:
    deleting = create(site.user, folder_body(site, delete_from_server=True))["id"]
    body = gcs_body(gcs)
    bucket = body["credentials"]["bucket"]
    slow = create(site.user, body)["id"]
    gcs.emulator.store.run("DELETE FROM buckets WHERE name = ?", bucket)
    code, number = secrets.token_hex(8), observe(site.user, deleting)
    stand(site.user, slow, query=f"site_id={code}")
    name, data = ingest(site, SITEID=code, BLKUID=number, PROPID=PROPOSAL, L1PUBDAT=SECRET)
    transfer(site.user, "completed", storage_config=deleting)
    failed = transfer(site.user, "failed", storage_config=slow)
    site.settle()
    assert "frame.file_deleted_from_server" not in [entry["event"] for entry in story(site.admin, "frame", name)]
    gcs.emulator.create_bucket(bucket)
    assert site.user.post(f"/api/v1/transfers/{failed['id']}/retry").status_code == 200
    transfer(site.user, "completed", storage_config=slow)
    assert list(objects(gcs, bucket).values()) == [data]
    (gone,) = eventually(
        lambda: [entry for entry in story(site.admin, "frame", name) if "deleted_from_server" in entry["event"]],
        "not deleted, though all copies are there",
    )
    assert len(gone["data"]["justified_by"]) == 2


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": " "}, "name"),
        ({"query": "proposl_id=x"}, "query"),
        ({"query": "covers=HERE"}, "covers"),
        ({"destinations": []}, "destinations"),
        ({"destinations": ["cfg-none"]}, "destinations"),
        ({"scope_id": "prj-x"}, "scope_id"),
    ],
)
def test_s36_what_cannot_stand_is_refused_with_its_field(site: Site, changes: dict[str, Any], field: str) -> None:
    config = create(site.user, folder_body(site))["id"]
    body = {"name": "Ours", "query": "site_id=x", "destinations": [config], **changes}
    before = site.events()
    assert is_problem(site.user.post(ROUTE, json=body), 400)["field"] == field
    assert site.events() == before


def test_s36_one_that_cannot_deliver_says_why(site: Site) -> None:
    mine, theirs = (create(site.user, folder_body(site))["id"] for _ in range(2))
    card = stand(site.user, mine, theirs)
    assert site.user.delete(f"/api/v1/storage-configs/{theirs}").status_code == 204
    shown = site.user.get(f"{ROUTE}/{card['id']}").json()
    assert shown["problem"] == f"Its owner can't send anything to {theirs} any more."


def test_s36_there_are_only_so_many_for_one_person(site: Site) -> None:
    client = site.client(site.new_user(f"eager-{secrets.token_hex(4)}"))
    config = create(client, folder_body(site))["id"]
    with mock.patch("application.commands.standing_deliveries.MOST", 2):
        cards = [stand(client, config) for _ in range(2)]
        body = {"name": "Third", "query": "", "destinations": [config]}
        is_problem(client.post(ROUTE, json=body), 409)
        client.delete(f"{ROUTE}/{cards[0]['id']}")
        assert client.post(ROUTE, json=body).status_code == 201


def test_s36_they_are_listed_page_by_page(site: Site) -> None:
    client = site.client(site.new_user(f"lister-{secrets.token_hex(4)}"))
    config = create(client, folder_body(site))["id"]
    made = [stand(client, config, name=f"Number {n}")["id"] for n in range(3)]
    first = client.get(f"{ROUTE}?limit=2").json()
    second = client.get(ROUTE, params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [row["id"] for row in (*first["results"], *second["results"])] == made[::-1]
    assert second["next_cursor"] is None


@pytest.fixture(scope="module")
def scene(site: Site) -> Scene:
    return Scene(site, "project")


@pytest.mark.parametrize("role", ROLES["project"])
def test_s36_a_projects_are_its_storage_managers_to_change_and_its_members_to_see(scene: Scene, role: str) -> None:
    client, owner = scene.clients[role], scene.clients["owner"]
    config = create(owner, scene.body())["id"]
    body = {"name": "N", "query": "site_id=x", "destinations": [config], "scope": "project", "scope_id": scene.id}
    manages = role in ("can_edit", "can_manage_storage", "owner", "superuser")
    sees = role not in ("anonymous", "stranger")

    def status(good: int, allowed: bool = manages) -> int:
        return 401 if role == "anonymous" else good if allowed else 403 if sees else 404

    before = scene.site.events()
    created = client.post(ROUTE, json=body)
    assert created.status_code == status(201), created.text
    if created.status_code != 201:
        assert scene.site.events() == before
    card = stand(owner, config, scope="project", scope_id=scene.id)
    route = f"{ROUTE}/{card['id']}"
    assert client.get(route).status_code == status(200, sees)
    if role != "anonymous":
        assert (card["id"] in [row["id"] for row in client.get(f"{ROUTE}?limit=1000").json()["results"]]) is sees
    assert client.get(f"/api/v1/audit/standing-delivery/{card['id']}").status_code == status(200, sees)
    assert client.patch(route, json={"paused": True}).status_code == status(200)
    assert client.delete(route).status_code == status(204)


@pytest.mark.parametrize(("who", "status"), [("user", 200), ("admin", 200), ("anonymous", 401), ("stranger", 404)])
def test_s36_a_personal_one_is_its_owners(site: Site, who: str, status: int) -> None:
    client = site.client(site.new_user(f"stranger-{secrets.token_hex(4)}")) if who == "stranger" else getattr(site, who)
    card = stand(site.user, create(site.user, folder_body(site))["id"])
    route = f"{ROUTE}/{card['id']}"
    assert client.get(route).status_code == status
    assert client.patch(route, json={"paused": True}).status_code == status
    assert client.get(f"/api/v1/audit/standing-delivery/{card['id']}").status_code == status
    assert client.delete(route).status_code == (204 if status == 200 else status)


def test_s36_a_projects_destination_only_stands_for_its_project(site: Site, scene: Scene) -> None:
    owner = scene.clients["owner"]
    config = create(owner, scene.body())["id"]
    body = {"name": "N", "query": "site_id=x", "destinations": [config]}
    assert "only for observations of its project" in is_problem(owner.post(ROUTE, json=body), 400)["detail"]
    somebody = create(site.user, folder_body(site))["id"]
    body |= {"scope": "project", "scope_id": scene.id, "destinations": [somebody]}
    assert is_problem(owner.post(ROUTE, json=body), 400)["field"] == "destinations"


def test_s36_a_project_ends_after_its_standing_deliveries(site: Site) -> None:
    scene = Scene(site, "project")
    owner = scene.clients["owner"]
    card = stand(owner, create(owner, folder_body(site))["id"], scope="project", scope_id=scene.id)
    refused = owner.delete(f"/api/v1/projects/{scene.id}")
    assert card["id"] in is_problem(refused, 409)["detail"]
    assert owner.delete(f"{ROUTE}/{card['id']}").status_code == 204
    assert owner.delete(f"/api/v1/projects/{scene.id}").status_code == 204


def test_s36_the_operator_sees_pauses_and_ends_them(site: Site) -> None:
    config = create(site.user, folder_body(site))["id"]
    card = stand(site.user, config)
    (line,) = [
        row for row in starferry(site, "standing-deliveries", "list").stdout.splitlines() if row.startswith(card["id"])
    ]
    assert line.split("\t") == [card["id"], "alice", "personal", "active", config, "site_id=nowhere", "Ours", ""]
    for command, paused in (("pause", True), ("resume", False)):
        assert starferry(site, "standing-deliveries", command, card["id"]).exit_code == 0
        assert site.user.get(f"{ROUTE}/{card['id']}").json()["paused"] is paused
    assert starferry(site, "standing-deliveries", "end", card["id"]).exit_code == 0
    is_problem(site.user.get(f"{ROUTE}/{card['id']}"), 404)
    told = starferry(site, "history", "standing_delivery", card["id"]).stdout
    assert "standing_delivery.ended  by os:" in told
    assert "There is no such standing delivery." in str(
        starferry(site, "standing-deliveries", "pause", card["id"]).exception
    )
