"""`?at=`: the archive as it was, for operators; and the state of anything as of a time or a position."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.records import record
from tests.site import Site

SHAPES = (
    "limit=2",
    "limit=2&offset=2&include_thumbnails=true",
    "pagination_style=cursor&limit=2",
    "target_name=m3",
    "covers=POINT(10.5%2010.5)",
    "intersects=POLYGON((10%2010,10.2%2010,10.2%2010.2,10%2010))",
    "ordering=exposure_time,-target_name",
    "public=false",
)


def plain(answer: httpx.Response) -> Any:
    """The content of an answer, without what is signed for a time, and without the links."""
    assert answer.status_code == 200, answer.text

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            unkept = ("url", "next", "previous", "count_estimated", "generated_at")
            return {name: strip(one) for name, one in value.items() if name not in unkept}
        return [strip(one) for one in value] if isinstance(value, list) else value

    return strip(answer.json())


def addresses(site_id: str, ids: list[int]) -> list[str]:
    """What is asked again and again."""
    lists = [f"/frames/?site_id={site_id}&force_count=1&{shape}" for shape in SHAPES]
    ones = [f"/frames/{number}/{part}" for number in ids for part in ("", "headers/", "related/")]
    span = "start=2023-12-31T00:00:00Z&end=2024-03-01T00:00:00Z"
    return [*lists, *ones, f"/frames/aggregate/?{span}&site_id={site_id}&public=true", f"/frames/aggregate/?{span}"]


def test_what_was_answered_once_is_answered_for_ever_as_of_its_position(site: Site) -> None:
    code = secrets.token_hex(6)
    bodies = [
        record(site_id=code, target_name=name, exposure_time=exposure, observation_date=f"2024-01-0{day}T00:00:00Z")
        for day, (name, exposure) in enumerate((("M31", 1.0), ("M33", None), ("NGC", 3.0), ("M31", 4.0)), start=1)
    ]
    bodies[3]["related_frame_filenames"] = [bodies[0]["basename"], bodies[1]["basename"]]
    ids = [site.post(body)["id"] for body in bodies]
    again = {**bodies[1], "headers": {"A": 2}, "version_set": record()["version_set"], "target_name": "M34"}
    events = [
        lambda: None,
        lambda: site.post(again),
        lambda: site.admin.patch(f"/frames/{ids[0]}/", json={"target_name": "moved", "area": None}),
        lambda: site.admin.patch(f"/frames/{ids[3]}/", json={"related_frames": [ids[2]]}),
        lambda: site.admin.delete(f"/frames/{ids[2]}/"),
        lambda: site.post({**bodies[2], "version_set": record()["version_set"]}),
        lambda: site.post(record(site_id=code, observation_date="2024-02-01T00:00:00Z")),
    ]
    remembered = []
    for happen in events:
        happen()
        site.settle()
        answers = {}
        for address in addresses(code, ids):
            answer = site.admin.get(address)
            answers[address] = plain(answer) if answer.status_code == 200 else answer.status_code
        remembered.append((site.events(), answers))
    for position, answers in remembered:
        for address, then in answers.items():
            answer = site.admin.get(address, params={**dict(parse_params(address)), "at": str(position)})
            if then == 404:
                assert answer.status_code == 404, (position, address)
                continue
            assert plain(answer) == then, (position, address)
            assert answer.headers["starferry-position"] == str(position)


def parse_params(address: str) -> list[tuple[str, str]]:
    return [(name, value[-1]) for name, value in parse_qs(urlsplit(address).query).items()]


def test_the_links_of_a_page_keep_the_position_whatever_arrives(site: Site) -> None:
    code = secrets.token_hex(6)
    ids = [site.post(record(site_id=code, observation_date=f"2024-01-01T0{hour}:00:00Z"))["id"] for hour in range(5)]
    site.settle()
    moment = datetime.now(UTC).isoformat()
    for style in ("", "&pagination_style=cursor"):
        found, address = [], f"/frames/?site_id={code}&limit=2{style}&at={moment.replace('+', '%2B')}"
        position = None
        while address:
            answer = site.admin.get(address)
            page = answer.json()
            position = position or answer.headers["starferry-position"]
            found += [row["id"] for row in page["results"]]
            address = page["next"] and page["next"].removeprefix(site.url)
            assert not address or parse_qs(urlsplit(address).query)["at"] == [position]
            site.post(record(site_id=code, observation_date="2024-01-02T00:00:00Z"))
            site.settle()
        assert found == ids[::-1]
    previous = site.admin.get(f"/frames/?site_id={code}&limit=2&offset=2&at={position}").json()["previous"]
    assert [row["id"] for row in site.admin.get(previous).json()["results"]] == ids[:2:-1]


def test_versions_are_listed_as_of_a_position(site: Site) -> None:
    body = record()
    frame = site.post(body)
    md5, position = body["version_set"][0]["md5"], site.events()
    site.admin.delete(f"/frames/{frame['id']}/")
    site.settle()
    assert site.admin.get(f"/versions/?md5={md5}").json()["count"] == 0
    then = site.admin.get(f"/versions/?md5={md5}&at={position}").json()
    assert [row["md5"] for row in then["results"]] == [md5]
    number = then["results"][0]["id"]
    assert site.admin.get(f"/versions/{number}/?at={position}").json()["md5"] == md5
    assert site.admin.get(f"/versions/{number}/").status_code == 404


def test_only_superusers_look_back(site: Site) -> None:
    for address in ("/frames/?at=1", "/frames/1/?at=1", "/frames/1/headers/?at=1", "/frames/1/related/?at=1",
                    "/frames/aggregate/?at=1"):  # fmt: skip
        assert site.anonymous.get(address).status_code == 401
        answer = site.user.get(address)
        assert (answer.status_code, "permission" in answer.json()["detail"]) == (403, True)
    assert "starferry-position" not in site.user.get("/frames/").headers
    assert site.anonymous.get("/frames/?at=").status_code == 200


@pytest.mark.parametrize(
    ("at", "sentence"),
    [
        ("yesterday", "Enter a position of the log, or a date/time."),
        ("-1", "Enter a position of the log, or a date/time."),
        ("999999999999", "The log's positions are 0 to "),
        ("9" * 30, "Enter a position of the log, or a date/time."),
        ("2999-01-01", "This time is still to come."),
        ("1\0", "Enter a position of the log, or a date/time."),
    ],
)
def test_what_is_no_place_in_the_log_is_refused(site: Site, at: str, sentence: str) -> None:
    answer = site.admin.get("/frames/", params={"at": at})
    assert answer.status_code == 400
    assert answer.json()["at"][0].startswith(sentence)


def test_at_the_beginning_there_is_nothing(site: Site) -> None:
    for at in ("0", "1999-12-31"):
        answer = site.admin.get("/frames/", params={"at": at})
        assert answer.json()["results"] == []
        assert answer.headers["starferry-position"] == "0"


def test_the_state_of_a_frame_is_told_as_of_a_position_or_a_time(site: Site) -> None:
    before = site.events()
    body = record(target_name="first", proposal_id="P-OWN", headers={"A": 1})
    frame = site.post(body)
    first, moment = site.events(), datetime.now(UTC)
    site.admin.patch(f"/frames/{frame['id']}/", json={"target_name": "second"})
    address = f"/api/v1/audit/frame/{body['basename']}/state"
    for client in (site.admin, site.user):
        then = client.get(address, params={"at": str(first)}).json()
        assert (then["state"]["record"]["target_name"], then["position"], then["version"]) == ("first", first, 1)
        assert "headers" not in then["state"]
        assert client.get(address, params={"at": moment.isoformat()}).json() == then
        assert client.get(address).json()["state"]["record"]["target_name"] == "second"
    assert site.admin.get(address, params={"headers": "true"}).json()["state"]["headers"] == {"A": 1}
    early = site.admin.get(address, params={"at": str(before)})
    assert early.status_code == 404
    assert f"didn't exist yet: its first event, at position {first}," in early.json()["detail"]
    never = site.admin.get("/api/v1/audit/frame/nothing/state")
    assert never.json()["detail"] == "There is no frame nothing, and never was."
    assert site.anonymous.get(address).status_code == 401
    assert site.admin.get(address, params={"at": "soon"}).status_code == 400
    assert site.admin.get("/api/v1/audit/planet/x/state").status_code == 400


def test_the_state_of_an_account_tells_no_hash(site: Site) -> None:
    answer = site.admin.get("/api/v1/audit/account/alice/state")
    assert answer.json()["state"]["tokens"] == 1
    with site.core.pool.connection() as connection:
        (digest,) = connection.execute("SELECT hash FROM read_accounts.token WHERE username = 'alice'").fetchone()
    assert str(digest) not in answer.text
    assert site.user.get("/api/v1/audit/account/admin/state").status_code == 404
