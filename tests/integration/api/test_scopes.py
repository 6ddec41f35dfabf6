"""Who may do what with the storage configurations of people, organizations and projects (S06–S10): every route, role
and scope against a table written down here."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from domain.groups import PERMISSIONS
from tests.integration.api.deliveries import create, folder_body, observe
from tests.integration.api.test_own_ingest import is_problem
from tests.records import fits_bytes, new_name
from tests.site import Site

CONFIGS = "/api/v1/storage-configs"
PLURAL = {"organization": "organizations", "project": "projects"}
MANAGING = {
    "organization": {"owner", "superuser", "can_manage_storage"},
    "project": {"owner", "superuser", "can_edit", "can_manage_storage"},
}
ROLES = {
    kind: ("anonymous", "stranger", "member", *permissions, "owner", "superuser")
    for kind, permissions in PERMISSIONS.items()
}


class Scene:
    """A group with one person for each role."""

    def __init__(self, site: Site, kind: str) -> None:
        self.site, self.kind = site, kind
        self.route = f"/api/v1/{PLURAL[kind]}"
        self.clients: dict[str, httpx.Client] = {"anonymous": site.anonymous, "superuser": site.admin}
        self.names = {role: f"{role.replace('_', '-')}-{secrets.token_hex(4)}" for role in ROLES[kind]}
        for role in ROLES[kind]:
            if role not in self.clients:
                self.clients[role] = site.client(site.new_user(self.names[role]))
        answer = self.clients["owner"].post(self.route, json={"name": "Galaxy Survey"})
        assert answer.status_code == 201, answer.text
        self.id = answer.json()["id"]
        for role in ("member", *PERMISSIONS[kind]):  # type: ignore[index]
            self.admit(self.names[role], [] if role == "member" else [role])

    def admit(self, name: str, permissions: list[str]) -> None:
        body = {"permissions": permissions}
        answer = self.clients["owner"].put(f"{self.route}/{self.id}/members/{name}", json=body)
        assert answer.status_code == 200, answer.text

    def body(self, **changes: Any) -> dict[str, Any]:
        return folder_body(self.site, scope=self.kind, scope_id=self.id, **changes)


@pytest.fixture(scope="module")
def scenes(site: Site) -> dict[str, Scene]:
    return {kind: Scene(site, kind) for kind in PLURAL}


def expected(scene: Scene, role: str, allowed: int) -> int:
    """The status that a managing call must have."""
    if role == "anonymous":
        return 401
    if role == "stranger":
        return 404
    return allowed if role in MANAGING[scene.kind] else 403


CALLS: dict[str, tuple[Callable[[httpx.Client, str], httpx.Response], int]] = {
    "edit": (lambda client, route: client.patch(route, json={"comment": secrets.token_hex(4)}), 200),
    "test": (lambda client, route: client.post(f"{route}/test"), 200),
    "retry": (lambda client, route: client.post(f"{route}/retry-failed"), 200),
    "clear": (lambda client, route: client.post(f"{route}/clear-failed"), 200),
    "verify": (lambda client, route: client.post(f"{route}/verify"), 202),
    "delete": (lambda client, route: client.delete(route), 204),
}
EVERYBODY = [(kind, role) for kind, roles in ROLES.items() for role in roles]


@pytest.mark.parametrize(("kind", "role"), EVERYBODY)
def test_s07_s08_those_who_manage_a_groups_storage_create_edit_test_and_delete(
    site: Site, scenes: dict[str, Scene], kind: str, role: str
) -> None:
    scene = scenes[kind]
    client = scene.clients[role]
    before = site.events()
    created = client.post(CONFIGS, json=scene.body())
    assert created.status_code == expected(scene, role, 201), created.text
    if created.status_code != 201:
        assert site.events() == before
    seen = client.get(f"{CONFIGS}/{create(scene.clients['owner'], scene.body())['id']}")
    if seen.status_code == 200:
        mighty = ["edit", "test", "retry-failed", "clear-failed", "verify", "delete"]
        assert seen.json()["actions"] == ["select", *(mighty if role in MANAGING[kind] else [])], "S63"
    for call, (ask, allowed) in CALLS.items():
        config = create(scene.clients["owner"], scene.body())
        before = site.events()
        answer = ask(client, f"{CONFIGS}/{config['id']}")
        assert answer.status_code == expected(scene, role, allowed), (call, answer.text)
        if answer.status_code >= 400:
            assert site.events() == before


@pytest.mark.parametrize(("kind", "role"), EVERYBODY)
def test_s07_s08_every_member_sees_and_selects_what_is_the_groups(
    site: Site, scenes: dict[str, Scene], kind: str, role: str
) -> None:
    scene = scenes[kind]
    client = scene.clients[role]
    config = create(scene.clients["owner"], scene.body())
    detail = client.get(f"{CONFIGS}/{config['id']}")
    if role == "anonymous":
        assert detail.status_code == 401
        return
    belongs = role != "stranger"
    assert detail.status_code == (200 if belongs else 404)
    assert (config["id"] in [row["id"] for row in client.get(CONFIGS).json()["results"]]) is belongs
    project = scene.id if kind == "project" else ""
    offered = client.get("/api/v1/destinations", params={"project": project}).json()[kind]
    assert (config["id"] in [row["id"] for row in offered]) is belongs
    body = {"name": "Night", "project": project, "destinations": [config["id"]]}
    submitted = client.post("/api/v1/observations", json=body)
    if not belongs:
        assert submitted.status_code == (404 if project else 400)
    elif kind == "project" and role not in ("can_edit", "owner", "superuser"):
        assert submitted.status_code == 403
    else:
        assert submitted.status_code == 201, submitted.text


def test_s08_a_projects_destination_is_only_for_its_observations(site: Site, scenes: dict[str, Scene]) -> None:
    scene = scenes["project"]
    owner = scene.clients["owner"]
    config = create(owner, scene.body())
    assert config["id"] not in [row["id"] for row in owner.get("/api/v1/destinations").json()["project"]]
    body = {"name": "Night", "project": "", "destinations": [config["id"]]}
    assert (
        "only for observations of its project"
        in is_problem(owner.post("/api/v1/observations", json=body), 400)["detail"]
    )


def test_s09_destinations_are_grouped_by_scope_with_what_a_chooser_needs(site: Site, scenes: dict[str, Scene]) -> None:
    scene = scenes["organization"]
    member = scene.clients["member"]
    mine = create(member, folder_body(site, display_name="Mine", destination_path="/a", delete_from_server=True))
    theirs = create(scene.clients["owner"], scene.body(display_name="Ours"))
    disabled = create(member, folder_body(site, enabled=False))
    offered = member.get("/api/v1/destinations").json()
    assert list(offered) == ["personal", "organization", "project"]
    assert {
        "id": mine["id"], "display_name": "Mine", "provider": "folder", "scope": "personal", "scope_id": "",
        "destination_path": "/a", "deletes_from_server": True,
    } in offered["personal"]  # fmt: skip
    assert theirs["id"] in [row["id"] for row in offered["organization"]]
    assert disabled["id"] not in [row["id"] for row in offered["personal"]]


def test_s10_any_number_of_destinations_of_all_scopes_is_allowed(site: Site, scenes: dict[str, Scene]) -> None:
    organization, project = scenes["organization"], scenes["project"]
    owner = project.clients["owner"]
    organization.admit(project.names["owner"], [])
    chosen = [
        create(owner, folder_body(site))["id"],
        create(organization.clients["owner"], organization.body())["id"],
        *(create(owner, project.body())["id"] for _ in range(3)),
    ]
    number = observe(owner, *chosen, project=project.id)
    site.settle()
    assert owner.get(f"/api/v1/observations/{number}").json()["destinations"] == chosen


def test_s31_a_project_gives_its_name_to_the_path(site: Site, scenes: dict[str, Scene]) -> None:
    scene = scenes["project"]
    owner = scene.clients["owner"]
    config = create(owner, scene.body(path_template="$PROJECT", destination_path="/fits-data"))
    number = observe(owner, config["id"], project=scene.id)
    name = new_name()
    site.ingest(fits_bytes(), f"{name}.fits", observation=str(number))
    site.settle()
    (transfer,) = owner.get("/api/v1/transfers", params={"observation": number}).json()["results"]
    assert transfer["destination_path"] == f"/fits-data/Galaxy_Survey/{name}.fits"


@pytest.mark.parametrize("role", ROLES["project"])
def test_s62_an_observation_is_seen_by_who_may_view_its_project_and_changed_by_who_may_edit_it(
    site: Site, scenes: dict[str, Scene], role: str
) -> None:
    scene = scenes["project"]
    client = scene.clients[role]
    number = observe(scene.clients["can_edit"], project=scene.id)
    site.settle()
    config = create(scene.clients["owner"], scene.body())
    destinations = {"destinations": [config["id"]]}
    assert scene.clients["can_edit"].patch(f"/api/v1/observations/{number}", json=destinations).status_code == 200
    site.ingest(fits_bytes(), f"{new_name()}.fits", observation=str(number))
    site.settle()
    detail = client.get(f"/api/v1/observations/{number}")
    changed = client.patch(f"/api/v1/observations/{number}", json={"destinations": []})
    retried = client.post(f"/api/v1/observations/{number}/retry-failed")
    checked = client.post(f"/api/v1/observations/{number}/verify")
    if role == "anonymous":
        refused = (detail.status_code, changed.status_code, retried.status_code, checked.status_code)
        assert refused == (401, 401, 401, 401)
        return
    changes = role in ("can_edit", "owner", "superuser")
    views = changes or role == "can_view"
    assert detail.status_code == (200 if views else 404)
    if views:
        (transfer,) = detail.json()["transfers"]
        assert bool(transfer["actions"]) is changes
    assert retried.status_code == (200 if changes else 403 if views else 404)
    assert changed.status_code == (200 if changes else 403 if views else 404)
    assert checked.status_code == (202 if changes else 403 if views else 404)
    listed = [row["id"] for row in client.get("/api/v1/observations?limit=1000").json()["results"]]
    assert (str(number) in listed) is views


@pytest.mark.parametrize(("kind", "role"), EVERYBODY)
def test_members_see_their_group_and_those_who_may_change_it(
    site: Site, scenes: dict[str, Scene], kind: str, role: str
) -> None:
    scene = scenes[kind]
    client, route = scene.clients[role], f"{scene.route}/{scene.id}"
    newcomer = f"new-{secrets.token_hex(4)}"
    site.new_user(newcomer)

    def status(allowed: set[str], good: int) -> int:
        if role in ("anonymous", "stranger"):
            return 401 if role == "anonymous" else 404
        return good if role in {"owner", "superuser", *allowed} else 403

    assert client.get(route).status_code == status(set(ROLES[kind]), 200)
    renaming = client.patch(route, json={"name": "Galaxy Survey"})
    assert renaming.status_code == status({"can_edit"} if kind == "project" else set(), 200)
    added = client.put(f"{route}/members/{newcomer}", json={"permissions": []})
    assert added.status_code == status({"can_manage_members"}, 200)
    removed = client.delete(f"{route}/members/{newcomer}")
    assert removed.status_code == status({"can_manage_members"}, 204)
    handed = client.post(f"{route}/transfer-ownership", json={"username": newcomer})
    assert handed.status_code == status(set(), 400)
    audit = client.get(f"/api/v1/audit/{kind}/{scene.id}")
    assert audit.status_code == status(set(ROLES[kind]), 200)


def test_who_manages_members_makes_no_other_managers_and_doesnt_change_their_own_rights(
    scenes: dict[str, Scene],
) -> None:
    for scene in scenes.values():
        manager, route = scene.clients["can_manage_members"], f"{scene.route}/{scene.id}/members"
        own = scene.names["can_manage_members"]
        everything = {"permissions": list(PERMISSIONS[scene.kind])}  # type: ignore[index]
        is_problem(manager.put(f"{route}/{own}", json=everything), 403)
        is_problem(manager.put(f"{route}/{scene.names['member']}", json=everything), 403)
        is_problem(manager.delete(f"{route}/{scene.names['owner']}"), 409)
        is_problem(manager.put(f"{route}/nobody-at-all", json={"permissions": []}), 400)
        is_problem(manager.put(f"{route}/{scene.names['member']}", json={"permissions": ["can_fly"]}), 400)


def test_projects_in_an_organization_are_founded_by_who_manages_its_projects(
    site: Site, scenes: dict[str, Scene]
) -> None:
    scene = scenes["organization"]
    for role in ROLES["organization"]:
        body = {"name": "Survey", "organization": scene.id}
        answer = scene.clients[role].post("/api/v1/projects", json=body)
        if role in ("can_manage_projects", "owner", "superuser"):
            assert answer.status_code == 201
            assert answer.json()["organization"] == scene.id
        else:
            assert answer.status_code == {"anonymous": 401, "stranger": 404}.get(role, 403)


def test_a_group_is_handed_over_left_and_ended(site: Site) -> None:
    scene = Scene(site, "project")
    owner, heir, route = scene.clients["owner"], scene.clients["can_view"], f"{scene.route}/{scene.id}"
    config = create(owner, scene.body())
    assert "Delete what belongs to this project first" in is_problem(owner.delete(route), 409)["detail"]
    handed = owner.post(f"{route}/transfer-ownership", json={"username": scene.names["can_view"]}).json()
    assert handed["owner"] == scene.names["can_view"]
    is_problem(owner.post(f"{route}/transfer-ownership", json={"username": scene.names["owner"]}), 403)
    is_problem(heir.delete(f"{route}/members/{scene.names['can_view']}"), 409)
    assert owner.delete(f"{route}/members/{scene.names['owner']}").status_code == 204
    is_problem(owner.get(f"{CONFIGS}/{config['id']}"), 404)
    assert heir.delete(f"{CONFIGS}/{config['id']}").status_code == 204
    assert heir.delete(route).status_code == 204
    for client, ask in itertools.product((owner, heir), ("get", "delete")):
        is_problem(getattr(client, ask)(route), 404)
    story = site.admin.get(f"/api/v1/audit/project/{scene.id}").json()["results"]
    assert [entry["event"] for entry in story][-3:] == [
        "group.ownership_transferred", "group.member_removed", "group.deleted",
    ]  # fmt: skip


def test_groups_are_listed_page_by_page_with_what_one_may_do_there(site: Site) -> None:
    founder = site.client(site.new_user(f"founder-{secrets.token_hex(4)}"))
    made = [founder.post("/api/v1/organizations", json={"name": f"Org {n}"}).json()["id"] for n in range(3)]
    first = founder.get("/api/v1/organizations?limit=2").json()
    second = founder.get("/api/v1/organizations", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    rows = [*first["results"], *second["results"]]
    assert [row["id"] for row in rows] == made[::-1]
    assert rows[0]["permissions"] == list(PERMISSIONS["organization"])
    is_problem(founder.post("/api/v1/organizations", json={"name": "  "}), 400)


def test_s08_who_edits_somebody_elses_observation_adds_no_destination_of_their_own(
    site: Site, scenes: dict[str, Scene]
) -> None:
    """Its files are its owner's: they would go to somebody who may not see them, and perhaps leave the server."""
    scene = scenes["project"]
    owner, editor = scene.clients["owner"], scene.clients["can_edit"]
    number = observe(owner, project=scene.id)
    shared = create(owner, scene.body())["id"]
    own, anothers = create(editor, folder_body(site))["id"], create(owner, folder_body(site))["id"]
    place = f"/api/v1/observations/{number}"
    is_problem(editor.patch(place, json={"destinations": [own]}), 400)
    is_problem(editor.patch(place, json={"destinations": [shared, own]}), 400)
    assert editor.patch(place, json={"destinations": [shared]}).status_code == 200
    assert owner.patch(place, json={"destinations": [shared, anothers]}).status_code == 200
    assert editor.patch(place, json={"destinations": [anothers]}).status_code == 200, "what is there may stay"


@pytest.mark.parametrize("field", ["project", "target"])
@pytest.mark.parametrize("text", ["x" * 201, "a\nb", "\u202e"])
def test_s31_what_an_observation_says_of_itself_is_short_and_printable(site: Site, field: str, text: str) -> None:
    """The read models index it, and PostgreSQL indexes no long texts."""
    answer = site.user.post("/api/v1/observations", json={"name": "n", field: text})
    assert is_problem(answer, 400)["field"] == field
