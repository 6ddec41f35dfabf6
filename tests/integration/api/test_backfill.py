"""Frames that are in the archive already go to a destination, over HTTP and from the command line (S37)."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest
from click.testing import CliRunner, Result

from api.cli import cli
from api.cli.deliver import _run
from api.operations import backfill
from application.commands.accounts import change_account
from application.commands.deliver_frames import Tally
from application.permissions import principal_of
from domain import accounts
from domain.frame_query import FrameQuery
from tests.integration.api.deliveries import create, folder_body, observe, story, transfers
from tests.integration.api.test_own_ingest import is_problem
from tests.integration.api.test_scopes import MANAGING, ROLES, Scene
from tests.records import fits_bytes, new_name
from tests.site import CAUSE, PROPOSAL, Site, eventually

ROUTE = "/api/v1/deliveries"


def deliver(client: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = client.post(ROUTE, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def files(site: Site, count: int, **cards: Any) -> tuple[str, dict[str, bytes]]:
    """A night of files, at a site of its own."""
    code = secrets.token_hex(8)
    made = {f"{new_name()}.fits": fits_bytes(SITEID=code, **cards) for _ in range(count)}
    for name, data in made.items():
        site.ingest(data, name)
    site.settle()
    return code, made


def arrived(body: dict[str, Any]) -> dict[str, bytes]:
    root = Path(body["credentials"]["root"])
    return {file.name: file.read_bytes() for file in root.rglob("*.fits") if file.is_file()}


def starferry(site: Site, *arguments: str) -> Result:
    data = str(site.core.settings.data)
    return CliRunner().invoke(cli, [*arguments, "--data", data], env={"DATABASE_URL": site.core.conninfo})


def test_s37_a_querys_result_is_counted_then_delivered_and_the_second_time_left_alone(site: Site) -> None:
    code, made = files(site, 3, PROPID=PROPOSAL, L1PUBDAT="2999-01-01T00:00:00")
    body = folder_body(site)
    config = create(site.user, body)["id"]
    wanted = {"storage_config": config, "query": f"site_id={code}"}
    before = site.events()
    counted = deliver(site.user, **wanted, dry_run=True)
    size = sum(len(data) for data in made.values())
    assert counted == {
        "dry_run": True, "frames": 3, "files": 3, "bytes": size, "files_of_unknown_size": 0, "already": {},
        "unwanted": 0, "gone": 0, "next_cursor": None,
    }  # fmt: skip
    assert site.events() == before
    assert deliver(site.user, **wanted) == {**counted, "dry_run": False}
    eventually(lambda: len(transfers(site.user, storage_config=config, status="completed")) == 3, "not delivered")
    assert arrived(body) == made
    again = deliver(site.user, **wanted)
    assert (again["files"], again["already"]) == (0, {"completed": 3})
    (first, *_) = transfers(site.user, storage_config=config)
    told = story(site.user, "transfer", first["id"])[0]
    assert (told["event"], told["actor"], told["via"], told["reason"]) == (
        "transfer.requested", "alice", "api", "backfill",
    )  # fmt: skip


def test_s37_nobody_gets_what_they_may_not_see(site: Site) -> None:
    code, _ = files(site, 2, PROPID="P-OTHER", L1PUBDAT="2999-01-01T00:00:00")
    config = create(site.user, folder_body(site))["id"]
    shown = deliver(site.user, storage_config=config, query=f"site_id={code}")
    assert (shown["frames"], shown["files"]) == (0, 0)
    number = observe(site.user)
    assert deliver(site.user, storage_config=config, observation=str(number))["frames"] == 0
    assert not transfers(site.user, storage_config=config)


def test_s37_an_observations_files_go_to_a_destination_that_it_never_selected(site: Site) -> None:
    number = observe(site.user, target="NGC 7")
    files(site, 2, BLKUID=number)
    body = folder_body(site, path_template="$USER/$TARGET")
    config = create(site.user, body)["id"]
    assert deliver(site.user, storage_config=config, observation=str(number))["files"] == 2
    eventually(lambda: len(transfers(site.user, observation=number, status="completed")) == 2, "not delivered")
    assert {row["destination_path"].rpartition("/")[0] for row in transfers(site.user, observation=number)} == {
        "/alice/NGC_7"
    }


def test_s37_a_long_result_is_gone_through_call_by_call(site: Site) -> None:
    code, made = files(site, 5)
    config = create(site.user, folder_body(site))["id"]
    wanted: dict[str, Any] = {"storage_config": config, "query": f"site_id={code}"}
    with mock.patch("api.v1.deliveries.FRAMES", 2), mock.patch("application.commands.deliver_frames.BATCH", 2):
        calls = [deliver(site.user, **wanted)]
        while calls[-1]["next_cursor"]:
            calls.append(deliver(site.user, **wanted, cursor=calls[-1]["next_cursor"]))
    assert [call["files"] for call in calls] == [2, 2, 1]
    site.settle()
    assert len(transfers(site.user, storage_config=config)) == len(made)
    eventually(lambda: len(transfers(site.user, storage_config=config, status="completed")) == 5, "not delivered")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({}, "query"),
        ({"query": "", "observation": "1"}, "query"),
        ({"query": "proposl_id=P1"}, "query"),
        ({"query": "", "cursor": "x"}, "cursor"),
        ({"query": "", "storage_config": "cfg-none"}, "storage_config"),
    ],
)
def test_s37_what_is_not_meant_is_refused(site: Site, changes: dict[str, Any], field: str) -> None:
    config = create(site.user, folder_body(site))["id"]
    before = site.events()
    answer = site.user.post(ROUTE, json={"storage_config": config, **changes})
    assert is_problem(answer, 400)["field"] == field
    assert site.events() == before


@pytest.mark.parametrize("observation", ["", "no-such"])
def test_s37_an_observation_that_is_none_is_not_everything(site: Site, observation: str) -> None:
    files(site, 1)
    config = create(site.user, folder_body(site))["id"]
    is_problem(site.user.post(ROUTE, json={"storage_config": config, "observation": observation}), 404)
    assert "There is no such observation." in str(
        starferry(site, "deliver", config, "--observation", observation).exception
    )
    assert not transfers(site.user, storage_config=config)


@pytest.fixture(scope="module")
def scenes(site: Site) -> dict[str, Scene]:
    return {kind: Scene(site, kind) for kind in ("organization", "project")}


@pytest.mark.parametrize(("kind", "role"), [(kind, role) for kind, roles in ROLES.items() for role in roles])
def test_s37_who_may_send_a_query_to_a_groups_destination(
    site: Site, scenes: dict[str, Scene], kind: str, role: str
) -> None:
    scene = scenes[kind]
    config = create(scene.clients["owner"], scene.body())["id"]
    body = {"storage_config": config, "query": f"site_id={secrets.token_hex(8)}", "dry_run": True}
    answer = scene.clients[role].post(ROUTE, json=body)
    selects = MANAGING["project"] if kind == "project" else set(ROLES["organization"]) - {"anonymous", "stranger"}
    assert answer.status_code == (401 if role == "anonymous" else 200 if role in selects else 400)


@pytest.mark.parametrize("role", ROLES["project"])
def test_s37_who_may_send_a_projects_observation_to_its_destination(scenes: dict[str, Scene], role: str) -> None:
    scene = scenes["project"]
    config = create(scene.clients["owner"], scene.body())["id"]
    number = observe(scene.clients["owner"], project=scene.id)
    body = {"storage_config": config, "observation": str(number)}
    answer = scene.clients[role].post(ROUTE, json=body)
    views = ("can_view", "can_edit", "owner", "superuser")
    assert answer.status_code == (401 if role == "anonymous" else 200 if role in views else 404)


def test_s37_the_command_counts_delivers_and_goes_on(site: Site) -> None:
    code, made = files(site, 2, PROPID=PROPOSAL, L1PUBDAT="2999-01-01T00:00:00")
    body = folder_body(site)
    config = create(site.user, body)["id"]
    wanted = ("deliver", config, "--query", f"site_id={code}")
    counted = starferry(site, *wanted, "--dry-run")
    assert counted.stdout.startswith("Would request 2 files, "), counted.output
    assert not transfers(site.user, storage_config=config)
    assert "Requested 2 files, " in starferry(site, *wanted).stdout  # the worker in this process logs there, too
    eventually(lambda: len(transfers(site.user, storage_config=config, status="completed")) == 2, "not delivered")
    assert arrived(body) == made
    assert "Requested 0 files, 0 bytes, of 2 frames; left alone: 2 completed." in starferry(site, *wanted).stdout
    (row, *_) = transfers(site.user, storage_config=config)
    assert story(site.admin, "transfer", row["id"])[0]["via"] == "cli"


def test_s37_the_command_asks_for_the_rights_anew_with_each_batch(site: Site) -> None:
    name = f"leaving-{secrets.token_hex(4)}"
    client = site.client(site.new_user(name, proposals=("P-LEFT",)))
    code, _ = files(site, 3, PROPID="P-LEFT", L1PUBDAT="2999-01-01T00:00:00")
    config = create(client, folder_body(site))["id"]
    core, wanted = site.core, FrameQuery(site_id=code)
    principal = principal_of(accounts.fold(core.log.load(accounts.stream_of(name))))
    carrying = backfill(core, CAUSE, principal, config, wanted)
    seen: list[Tally] = []

    def leave(_: object, batch: Tally) -> Tally:
        seen.append(batch)
        change_account(core.log, core.clock, CAUSE, name, proposals=())
        return batch

    with mock.patch("application.commands.deliver_frames.BATCH", 1), mock.patch.object(Tally, "__add__", leave):
        _run(core, carrying)
    assert [batch.files for batch in seen] == [1]


def test_s37_the_command_delivers_what_the_user_may_see_in_whose_name_it_is(site: Site) -> None:
    code, _ = files(site, 1, PROPID="P-OTHER", L1PUBDAT="2999-01-01T00:00:00")
    config = create(site.user, folder_body(site))["id"]
    wanted = ("deliver", config, "--query", f"site_id={code}")
    assert "of 0 frames" in starferry(site, *wanted).stdout
    assert "Requested 1 files" in starferry(site, *wanted, "--as", "admin").stdout
    assert "There is no active user nobody." in str(starferry(site, *wanted, "--as", "nobody").exception)
    assert "either --observation or --query" in str(starferry(site, "deliver", config).exception)
