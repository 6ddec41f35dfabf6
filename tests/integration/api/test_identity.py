"""Who asks, and what they may see: rows B01, B07, B10, B11 of the contract."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from application.commands.accounts import hash_token
from application.transact import transact
from domain import accounts
from tests.records import FUTURE, PAST, fits_bytes, new_name, record
from tests.site import CAUSE, PROPOSAL, Site


@pytest.mark.parametrize("scheme", ["Token", "token", "TOKEN", "tOkEn"])
def test_b01_the_scheme_is_read_in_any_case(site: Site, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {site.user_token}"}
    assert site.anonymous.get("/profile/", headers=headers).json()["username"] == "alice"


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("Token wrong", "Invalid token."),
        ("Token", "Invalid token header. No credentials provided."),
        ("Token a b", "Invalid token header. Token string should not contain spaces."),
        ("token \xe9", "Invalid token."),
    ],
)
def test_b01_a_bad_token_is_refused_everywhere_with_its_own_sentence(site: Site, header: str, sentence: str) -> None:
    for route in ("/frames/", "/profile/", "/frames/1/", "/versions/"):
        answer = site.anonymous.get(route, headers=[(b"Authorization", header.encode("latin-1"))])
        assert answer.status_code == 401
        assert answer.json() == {"detail": sentence}
        assert answer.headers["www-authenticate"] == "Token"


def test_b01_the_token_of_an_inactive_user_is_refused(site: Site) -> None:
    token = site.new_user("gone")
    transact(
        site.core.log,
        accounts.stream_of("gone"),
        lambda _: (accounts.AccountChanged(is_superuser=False, is_staff=False, active=False, proposals=()),),
        cause=CAUSE,
        now=site.core.clock.now(),
    )
    site.settle()
    answer = site.client(token).get("/profile/")
    assert (answer.status_code, answer.json()) == (401, {"detail": "User inactive or deleted."})


def test_b01_another_scheme_is_anonymous(site: Site) -> None:
    for header in ("Basic YTpi", "Digest x", "", "Tokens x"):
        answer = site.anonymous.get("/profile/", headers={"Authorization": header})
        assert answer.json()["username"] == ""


def test_b01_a_revoked_token_dies(site: Site) -> None:
    token = site.new_user("leaver")
    transact(
        site.core.log,
        accounts.stream_of("leaver"),
        lambda history: accounts.revoke_token(accounts.fold(history), hash_token(token)),
        cause=CAUSE,
        now=site.core.clock.now(),
    )
    site.settle()
    assert site.client(token).get("/profile/").status_code == 401
    assert hash_token(token) == hashlib.sha256(token.encode()).hexdigest()


def test_b07_the_profile_has_three_shapes(site: Site) -> None:
    assert site.anonymous.get("/profile/").json() == {"username": "", "profile": {}, "is_staff": False}
    alice = {"username": "alice", "profile": {"proposals": [PROPOSAL]}, "is_staff": False}
    assert site.user.get("/profile/").json() == alice
    admin = site.admin.get("/profile/").json()
    assert (admin["username"], admin["is_staff"]) == ("admin", True)
    assert isinstance(admin["profile"]["proposals"], list)


FRAMES: dict[str, dict[str, Any]] = {
    "public": {},
    "public of the own proposal": {"proposal_id": PROPOSAL},
    "own proposal": {"proposal_id": PROPOSAL, "public_date": FUTURE},
    "own proposal without public date": {"proposal_id": PROPOSAL, "public_date": None},
    "other proposal": {"proposal_id": "P-OTHER", "public_date": FUTURE},
    "without public date": {"public_date": None},
    "no proposal": {"proposal_id": "", "public_date": FUTURE},
    "without observation date": {"observation_date": None},
    "own, without observation date": {"observation_date": None, "proposal_id": PROPOSAL},
}
SEEN = {
    "anonymous": {"public", "public of the own proposal"},
    "user": {"public", "public of the own proposal", "own proposal", "own proposal without public date"},
    "admin": {name for name in FRAMES if "without observation date" not in name},
}


@pytest.fixture(scope="module")
def frames(site: Site) -> dict[str, dict[str, Any]]:
    made = {name: site.post(record(telescope_id="visible", **changes)) for name, changes in FRAMES.items()}
    site.settle()
    return made


def clients(site: Site) -> list[tuple[str, httpx.Client]]:
    return [("anonymous", site.anonymous), ("user", site.user), ("admin", site.admin)]


def test_b10_lists_hold_what_the_viewer_may_see(site: Site, frames: dict[str, dict[str, Any]]) -> None:
    ids = {name: frame["id"] for name, frame in frames.items()}
    for viewer, client in clients(site):
        page = client.get("/frames/", params={"telescope_id": "visible"}).json()
        assert {frame["id"] for frame in page["results"]} == {ids[name] for name in SEEN[viewer]}
        assert page["count"] == len(SEEN[viewer])
        for name, frame in frames.items():
            region = {"basename": frame["basename"], "covers": "POINT(10.5 10.5)"}
            for question in ({"basename_exact": frame["basename"]}, region):
                assert client.get("/frames/", params=question).json()["count"] == (name in SEEN[viewer])


@pytest.mark.parametrize("rest", ["", "headers/", "related/"])
def test_b10_detail_headers_and_related_open_for_the_same_viewers(
    site: Site, frames: dict[str, dict[str, Any]], rest: str
) -> None:
    for viewer, client in clients(site):
        for name, frame in frames.items():
            expected = 200 if name in SEEN[viewer] else 404
            assert client.get(f"/frames/{frame['id']}/{rest}").status_code == expected, (viewer, name)


def test_b10_related_ids_and_frames_never_show_more(site: Site, frames: dict[str, dict[str, Any]]) -> None:
    names = [frame["basename"] for frame in frames.values()]
    parent = site.post(record(related_frame_filenames=names))
    site.settle()
    for viewer, client in clients(site):
        expected = sorted(frames[name]["id"] for name in SEEN[viewer])
        assert sorted(client.get(f"/frames/{parent['id']}/").json()["related_frames"]) == expected
        related = client.get(f"/frames/{parent['id']}/related/").json()
        assert sorted(frame["id"] for frame in related) == expected
        allowed = {*expected, parent["id"]}
        assert all(set(frame["related_frames"]) <= allowed for frame in related)


def test_b10_the_history_of_a_hidden_frame_stays_hidden(site: Site, frames: dict[str, dict[str, Any]]) -> None:
    for name, frame in frames.items():
        expected = 200 if name in SEEN["user"] else 404
        assert site.user.get(f"/api/v1/audit/frame/{frame['basename']}").status_code == expected, name
        assert site.anonymous.get(f"/api/v1/audit/frame/{frame['basename']}").status_code == 401


def test_b10_a_frame_without_versions_is_in_no_list_but_opens(site: Site) -> None:
    created = site.post(record(version_set=[], telescope_id="empty"))
    assert "url" not in created
    assert site.admin.get("/frames/?telescope_id=empty").json()["results"] == []
    frame = site.admin.get(f"/frames/{created['id']}/").json()
    assert (frame["url"], frame["filename"], frame["version_set"]) == (None, None, [])


def test_b10_download_links_open_their_own_file_and_no_other(site: Site) -> None:
    data = fits_bytes(PROPID=PROPOSAL, L1PUBDAT=FUTURE[:-1])
    own = site.ingest(data, f"{new_name()}.fits")
    other = site.ingest(fits_bytes(PROPID="P-OTHER", L1PUBDAT=FUTURE[:-1]), f"{new_name()}.fits")
    site.settle()
    link = httpx.URL(site.user.get(f"/frames/{own['id']}/").json()["url"])
    answer = site.anonymous.get(link)
    assert answer.content == data
    assert answer.headers["content-disposition"].startswith("attachment")
    hidden = other["version_set"][0]
    for forged in (
        link.copy_with(path=f"/files/{hidden['id']}/{other['filename']}"),
        link.copy_remove_param("signature"),
        link.copy_set_param("signature", "0" * 40),
        link.copy_set_param("signature", "é"),
        link.copy_set_param("expires", "99999999999"),
        link.copy_set_param("expires", "9" * 5000),
        link.copy_set_param("expires", "²"),
        link.copy_remove_param("expires"),
    ):
        assert site.admin.get(forged).status_code == 403, forged
    assert site.user.get(f"/frames/{other['id']}/").status_code == 404


def test_b10_an_expired_link_is_refused(site: Site) -> None:
    frame = site.ingest(fits_bytes(), f"{new_name()}.fits")
    version, past = frame["version_set"][0]["id"], int(datetime(2020, 1, 1, tzinfo=UTC).timestamp())
    signature = site.core.links._sign(version, past)
    answer = site.anonymous.get(f"/files/{version}/x.fits?expires={past}&signature={signature}")
    assert answer.status_code == 403
    assert "expired" in answer.json()["detail"]


def test_downloads_serve_ranges_and_survive_odd_ones(site: Site) -> None:
    data = fits_bytes()
    link = site.ingest(data, f"{new_name()}.fits")["url"]
    size = len(data)
    for asked, start, end in (("bytes=0-9", 0, 10), ("bytes=10-", 10, size), ("bytes=-5", size - 5, size),
                              ("bytes=0-999999", 0, size)):  # fmt: skip
        part = site.anonymous.get(link, headers={"Range": asked})
        assert (part.status_code, part.content) == (206, data[start:end])
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    for asked in ("bytes=", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,4-5", f"bytes={'9' * 5000}-"):
        assert site.anonymous.get(link, headers={"Range": asked}).content == data
    for asked in (f"bytes={size}-", "bytes=-0", f"bytes={'9' * 18}-"):
        refused = site.anonymous.get(link, headers={"Range": asked})
        assert (refused.status_code, refused.headers["content-range"]) == (416, f"bytes */{size}")


def test_a_download_whose_name_is_not_ascii_works(site: Site) -> None:
    data = fits_bytes()
    answer = site.anonymous.get(site.ingest(data, "dunkle—Materie \u00e9.fits")["url"])
    assert answer.content == data
    assert "filename*=UTF-8''dunkle%E2%80%94Materie%20%C3%A9.fits" in answer.headers["content-disposition"]


def test_a_link_to_a_file_that_another_program_keeps_is_not_found(site: Site) -> None:
    answer = site.anonymous.get(site.post(record())["url"])
    assert (answer.status_code, list(answer.json())) == (404, ["detail"])


def test_b11_only_superusers_write(site: Site) -> None:
    for client, status in ((site.anonymous, 401), (site.user, 403)):
        events = site.events()
        assert client.post("/frames/", json=record()).status_code == status
        assert client.post("/frames/", content=b"{").status_code == status, "before the body is looked at"
        assert client.post("/api/v1/ingest", files={"file": ("a.fits", b"")}).status_code == status
        assert site.events() == events
    assert site.user.post("/frames/").json() == {"detail": "You do not have permission to perform this action."}
    assert site.anonymous.post("/frames/").json() == {"detail": "Authentication credentials were not provided."}


def test_b11_staff_who_are_no_superusers_read_versions_and_write_nothing(site: Site) -> None:
    token = site.new_user("operator")
    transact(
        site.core.log,
        accounts.stream_of("operator"),
        lambda _: (accounts.AccountChanged(is_superuser=False, is_staff=True, active=True, proposals=()),),
        cause=CAUSE,
        now=site.core.clock.now(),
    )
    hidden = site.post(record(public_date=FUTURE))
    site.settle()
    staff = site.client(token)
    assert staff.get("/versions/").status_code == 200
    assert staff.post("/frames/", json=record()).status_code == 403
    assert staff.get(f"/frames/{hidden['id']}/").status_code == 404
    assert staff.get("/profile/").json()["is_staff"] is True
    assert PAST < FUTURE
