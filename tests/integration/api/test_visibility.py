"""B10 and B11: every route that tells of a frame, for every kind of viewer and of frame. A new route is one line in
ROUTES."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from application.commands.accounts import change_account, create_token, create_user
from tests.integration.api.deliveries import create, folder_body
from tests.integration.api.test_archive_thumbnails import payload
from tests.records import FUTURE, fits_bytes, new_name, record
from tests.site import CAUSE, PROPOSAL, Site

Frame = dict[str, Any]
GROUP = "matrix"

FRAMES: dict[str, Frame] = {
    "public": {},
    "public, own": {"proposal_id": PROPOSAL},
    "own": {"proposal_id": PROPOSAL, "public_date": FUTURE},
    "own, granted": {"proposal_id": "P-GRANTED", "public_date": FUTURE},
    "own, without public date": {"proposal_id": PROPOSAL, "public_date": None},
    "foreign": {"proposal_id": "P-OTHER", "public_date": FUTURE},
    "foreign, alike": {"proposal_id": PROPOSAL.lower(), "public_date": FUTURE},
    "foreign, without public date": {"proposal_id": "P-OTHER", "public_date": None},
    "of no proposal": {"proposal_id": "", "public_date": FUTURE},
    "without observation date": {"observation_date": None},
    "own, without observation date": {"observation_date": None, "proposal_id": PROPOSAL},
}
PUBLIC = {"public", "public, own"}
MEMBERS = PUBLIC | {"own", "own, granted", "own, without public date"}
SEES: dict[str, set[str]] = {
    "anonymous": PUBLIC,
    "user": PUBLIC,
    "member": MEMBERS,
    "staff": PUBLIC,
    "superuser": {name for name in FRAMES if "without observation date" not in name},
}


def opens(route: str) -> Callable[[httpx.Client, Frame], bool]:
    """Whether a route about one frame answers with it; if not, it must be as if there were no such frame."""

    def ask(client: httpx.Client, frame: Frame) -> bool:
        answer = client.get(route.format(**frame))
        assert answer.status_code in (200, 404), answer.text
        if answer.status_code == 404:
            assert frame["basename"] not in answer.text
        return answer.status_code == 200

    return ask


def holds(**parameters: str) -> Callable[[httpx.Client, Frame], bool]:
    """Whether a list holds the frame, and counts it."""

    def ask(client: httpx.Client, frame: Frame) -> bool:
        asked = {name: value.format(**frame) for name, value in parameters.items()}
        page = client.get("/frames/", params=asked).json()
        found = frame["id"] in [one["id"] for one in page["results"]]
        assert found or (page["count"] == 0 or "basename_exact" not in asked)
        return found

    return ask


def linked(field: str) -> Callable[[httpx.Client, Frame], bool]:
    """Whether a public frame that names this one gives it away."""

    def ask(client: httpx.Client, frame: Frame) -> bool:
        parent = client.get(f"/frames/{frame['parent']}/").json()
        shown: list[int] = (
            parent[field] if field else [one["id"] for one in client.get(f"/frames/{frame['parent']}/related/").json()]
        )
        return frame["id"] in shown

    return ask


def zipped(client: httpx.Client, frame: Frame) -> bool:
    """Whether a zip download knows of the frame; if not, it must be as if nothing had been asked for."""
    answer = client.post("/frames/zip/", json={"frame_ids": [frame["id"]]})
    assert answer.status_code in (200, 404)
    assert answer.status_code == 200 or answer.content == b""
    return answer.status_code == 200


def differs_from_nothing(route: str) -> Callable[[httpx.Client, Frame], bool]:
    """Whether a route about one frame answers anything else than about a frame that never was."""

    def ask(client: httpx.Client, frame: Frame) -> bool:
        about, nothing = (client.get(route.format(id=number)) for number in (frame["id"], 2**31 - 1))
        assert nothing.status_code == 404
        return (about.status_code, about.content) != (nothing.status_code, nothing.content)

    return ask


def pictured(client: httpx.Client, frame: Frame) -> bool:
    """Whether the frame's thumbnail is listed, and can be opened."""
    page = client.get("/thumbnails/", params={"frame_basename": frame["basename"]}).json()
    opened = client.get(f"/thumbnails/{frame['thumbnail']}/").status_code == 200
    assert [one["id"] for one in page["results"]] == [frame["thumbnail"]] * opened
    assert page["count"] == opened
    return opened


def aggregated(client: httpx.Client, frame: Frame) -> bool:
    """Whether the values of a time range tell that there is this one."""
    asked = {"telescope_id": GROUP, "start": "2023-12-31", "end": "2024-01-03", "public": "true"}
    return frame["instrument_id"] in client.get("/frames/aggregate/", params=asked).json()["instruments"]


ROUTES: dict[str, Callable[[httpx.Client, Frame], bool]] = {
    "list": holds(telescope_id=GROUP),
    "list by name": holds(basename_exact="{basename}"),
    "list by place": holds(basename="{basename}", covers="POINT(10.5 10.5)"),
    "list by proposal": holds(proposal_id="{proposal_id}", telescope_id=GROUP),
    "detail": opens("/frames/{id}/"),
    "headers": opens("/frames/{id}/headers/"),
    "related": opens("/frames/{id}/related/"),
    "related ids": linked("related_frames"),
    "related frames": linked(""),
    "zip": zipped,
    "unpacked": differs_from_nothing("/frame-funpack/{id}/funpack/"),
    "catalogue": differs_from_nothing("/frame-catalog/{id}/catalog/"),
    "thumbnails": pictured,
    "aggregate": aggregated,
}


@pytest.fixture(scope="module")
def frames(site: Site) -> dict[str, Frame]:
    made = {
        name: site.post(record(telescope_id=GROUP, instrument_id=f"mx{number:02}", **changes))
        for number, (name, changes) in enumerate(FRAMES.items())
    }
    parent = site.post(record(related_frame_filenames=[frame["basename"] for frame in made.values()]))
    for frame in made.values():
        picture = site.admin.post("/thumbnails/", json=payload(frame["basename"]))
        assert picture.status_code == 201, picture.text
    site.settle()
    with site.core.pool.connection() as connection:
        thumbnails = dict(connection.execute("SELECT frame_id, id FROM read_frames.thumbnail").fetchall())
    return {
        name: {**frame, "parent": parent["id"], "thumbnail": thumbnails[frame["id"]]} for name, frame in made.items()
    }


@pytest.fixture(scope="module")
def viewers(site: Site) -> dict[str, httpx.Client]:
    core = site.core
    staff, member = "matrix-staff", "matrix-member"
    for name in (staff, member):
        create_user(core.log, core.passwords, core.clock, CAUSE, name)
        create_token(core.log, core.clock, CAUSE, name, f"{name}-token")
    change_account(core.log, core.clock, CAUSE, staff, is_staff=True)
    change_account(core.log, core.clock, CAUSE, member, proposals=(PROPOSAL, "P-GRANTED"))
    other = site.new_user("matrix-user", proposals=("P-THIRD",))
    site.settle()
    return {
        "anonymous": site.anonymous,
        "user": site.client(other),
        "member": site.client(f"{member}-token"),
        "staff": site.client(f"{staff}-token"),
        "superuser": site.admin,
    }


@pytest.mark.parametrize("viewer", SEES)
@pytest.mark.parametrize("route", ROUTES)
def test_b10_every_route_shows_a_viewer_what_they_may_see_and_no_more(
    site: Site, frames: dict[str, Frame], viewers: dict[str, httpx.Client], route: str, viewer: str
) -> None:
    client = viewers[viewer]
    shown = {name for name, frame in frames.items() if ROUTES[route](client, frame)}
    assert shown == SEES[viewer]


@pytest.mark.parametrize("viewer", [viewer for viewer in SEES if viewer != "anonymous"])
def test_s20_s37_a_preview_and_a_backfill_show_a_viewer_what_they_may_see_and_no_more(
    site: Site, frames: dict[str, Frame], viewers: dict[str, httpx.Client], viewer: str
) -> None:
    client = viewers[viewer]
    config = create(client, folder_body(site))["id"]

    def meant(frame: Frame) -> int:
        body = {"storage_config": config, "query": f"basename_exact={frame['basename']}", "dry_run": True}
        count: int = client.post("/api/v1/deliveries", json=body).json()["files"]
        return count

    assert {name for name, frame in frames.items() if meant(frame)} == SEES[viewer]
    previewed = client.post("/api/v1/path-preview", json={"limit": 100}).json()["results"]
    shown = {row["frame"] for row in previewed}
    assert {name for name, frame in frames.items() if frame["basename"] in shown} == SEES[viewer]


def test_b10_whoever_sees_no_frame_gets_no_link_to_its_file(site: Site, viewers: dict[str, httpx.Client]) -> None:
    data = fits_bytes(PROPID=PROPOSAL, L1PUBDAT=FUTURE[:-1])
    frame = site.ingest(data, f"{new_name()}.fits")
    site.settle()
    for viewer, client in viewers.items():
        sees = viewer in ("member", "superuser")
        answer = client.get(f"/frames/{frame['id']}/")
        assert (answer.status_code == 200) == sees
        if sees:
            assert site.anonymous.get(answer.json()["url"]).content == data
        unsigned = client.get(f"/files/{frame['version_set'][0]['id']}/{frame['filename']}")
        assert unsigned.status_code == (200 if sees else 404)
        assert (unsigned.content == data) == sees


def test_b11_versions_are_for_staff_and_writing_for_superusers(site: Site, viewers: dict[str, httpx.Client]) -> None:
    refused = {"anonymous": 401, "user": 403, "member": 403, "staff": 403, "superuser": 400}
    for viewer, client in viewers.items():
        expected = 200 if viewer in ("staff", "superuser") else refused[viewer]
        version = site.post(record())["version_set"][0]["id"]
        assert client.get("/versions/").status_code == expected
        assert client.get(f"/versions/{version}/").status_code == expected
        events = site.events()
        assert client.post("/frames/", json={}).status_code == refused[viewer]
        assert site.events() == events


def test_b07_a_superusers_profile_has_the_proposals_of_all_frames(
    site: Site, frames: dict[str, Frame], viewers: dict[str, httpx.Client]
) -> None:
    profile = site.admin.get("/profile/").json()
    assert profile["username"] == "admin"
    assert {"P-OTHER", PROPOSAL, "P-GRANTED"} <= set(profile["profile"]["proposals"])
    assert "" not in profile["profile"]["proposals"]
    assert profile["profile"]["proposals"] == sorted(set(profile["profile"]["proposals"]))
    member = viewers["member"].get("/profile/").json()
    assert member == {
        "username": "matrix-member", "profile": {"proposals": ["P-GRANTED", PROPOSAL]}, "is_staff": False
    }  # fmt: skip
    assert msgspec.json.encode(viewers["anonymous"].get("/profile/").json()) == (
        b'{"username":"","profile":{},"is_staff":false}'
    )
