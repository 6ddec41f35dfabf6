"""Pages that are found by a shortcut hold what they would hold without it (rows A16, A25, A31, A36)."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from projections.facets.query import FacetQueries
from projections.frames import pages as frame_pages
from projections.frames import query
from tests.records import FUTURE, PAST, record
from tests.site import PROPOSAL, Site

FRAMES = 40
TARGET = "Shortcut"


@pytest.fixture(scope="module")
def frames(site: Site) -> str:
    """An instrument with forty frames over two weeks, several at the same time, some not public, two without a date or
    a version."""
    name = secrets.token_hex(6)
    for number in range(FRAMES):
        site.post(
            record(
                instrument_id=name,
                target_name=f"{TARGET} {number} {name}",
                observation_date=f"2024-06-{1 + number // 3:02}T{number % 3 // 2 * 12:02}:30:00Z",
                public_date=(PAST, FUTURE, None, PAST)[number % 4],
                proposal_id=PROPOSAL if number % 5 == 0 else "P-OTHER",
                site_id=f"s{number % 2}",
                area={"type": "Polygon", "coordinates": [square(200 + number)]},
            )
        )
    site.post(record(instrument_id=name, target_name=f"{TARGET} {name}", version_set=[]))
    site.post(record(instrument_id=name, target_name=f"{TARGET} {name}", observation_date=None))
    site.settle()
    return name


def square(ra: float) -> list[list[float]]:
    return [[ra, 40], [ra + 1, 40], [ra + 1, 41], [ra, 41], [ra, 40]]


def listed(client: httpx.Client, **parameters: Any) -> list[int]:
    answer = client.get("/frames/", params=parameters)
    assert answer.status_code == 200, answer.text
    return [frame["id"] for frame in answer.json()["results"]]


@pytest.mark.parametrize("who", ["anonymous", "user", "admin"])
def test_a31_a_deep_page_that_passes_whole_days_is_the_one_that_walking_finds(
    site: Site, frames: str, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    client = getattr(site, who)
    for chosen in ({"instrument_id": frames}, {"instrument_id": frames, "site_id": "s1"}):
        whole = listed(client, limit=100, **chosen)
        assert len(whole) > 5
        for deep in (10**9, 1):
            monkeypatch.setattr(query, "DEEP", deep)
            for offset in range(len(whole) + 2):
                assert listed(client, limit=4, offset=offset, **chosen) == whole[offset : offset + 4]
            for later in (
                {"start": "2024-06-04"},
                {"end": "2024-06-09"},
                {"public": "true"},
                {"public": "false"},
                {"OBJECT": TARGET},
            ):
                narrowed = listed(client, limit=100, **chosen, **later)
                assert listed(client, limit=4, offset=3, **chosen, **later) == narrowed[3:7]


def test_a36_a_deep_page_knows_the_count_and_what_follows(
    site: Site, frames: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "DEEP", 1)
    answer = site.admin.get("/frames/", params={"instrument_id": frames, "limit": 10, "offset": 35}).json()
    assert (answer["count"], answer["next"], len(answer["results"])) == (FRAMES, None, 5)
    answer = site.admin.get("/frames/", params={"instrument_id": frames, "limit": 10, "offset": 25}).json()
    assert answer["count"] == FRAMES
    assert answer["next"]


@pytest.mark.parametrize("who", ["anonymous", "user", "admin"])
def test_a16_a_common_target_is_found_among_the_newest_as_through_the_index(
    site: Site, frames: str, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    client = getattr(site, who)
    asked = {"target_name": frames[:8].upper()}
    by_index = None
    for walked in (0, 200):
        monkeypatch.setattr(frame_pages, "NEAR", walked)
        pages = [listed(client, limit=6, offset=offset, **asked) for offset in range(0, FRAMES + 6, 3)]
        by_index = by_index or pages
        assert pages == by_index
    assert by_index[0] == listed(client, instrument_id=frames, limit=6)
    assert not any(by_index[-1:])


@pytest.fixture(scope="module")
def years(site: Site) -> str:
    """A target of frames from years back until after tomorrow."""
    target, now = f"Years {secrets.token_hex(6)}", datetime.now(UTC)
    days = [-45, -20, 0, *(5 + 37 * k for k in range(40)), 5000, 60_000]
    for number, ago in enumerate(days):
        observed = f"{now - timedelta(days=ago):%Y-%m-%dT%H:%M:%SZ}"
        public = FUTURE if number % 3 == 0 else "2020-01-01T00:00:00Z"
        site.post(record(target_name=target, observation_date=observed, public_date=public))
    site.settle()
    return target


@pytest.mark.parametrize("who", ["anonymous", "admin"])
@pytest.mark.parametrize("paged", ["offset", "cursor"])
def test_a16_looking_at_the_newest_months_first_finds_what_looking_everywhere_does(
    site: Site, years: str, monkeypatch: pytest.MonkeyPatch, who: str, paged: str
) -> None:
    client = getattr(site, who)
    chosen = {"target_name": years[:12]}
    style = {"pagination_style": "cursor"} if paged == "cursor" else {}
    monkeypatch.setattr(frame_pages, "EVERYWHERE", 2.0)
    found = []
    for share in (2.0, 0.0):
        monkeypatch.setattr(frame_pages, "COMMON", share)
        ids: list[int] = []
        following: str | None = f"/frames/?{urlencode({**chosen, **style, 'limit': 7})}"
        while following:
            page = client.get(following).json()
            ids += [frame["id"] for frame in page["results"]]
            following = page["next"]
        found.append(ids)
    assert found[0] == found[1]
    assert len(set(found[0])) == len(found[0]) >= 25
    dates = [site.admin.get(f"/frames/{number}/").json()["observation_date"] for number in found[0]]
    assert dates == sorted(dates, reverse=True)


@pytest.mark.parametrize("width", [1, 30])
def test_a25_small_and_wide_regions_are_paged_alike(site: Site, frames: str, width: int) -> None:
    west, east = 225 - width / 2, 225 + width / 2
    region = f"POLYGON(({west} 20,{east} 20,{east} 60,{west} 60,{west} 20))"
    whole = listed(site.admin, instrument_id=frames, intersects=region, limit=100)
    assert len(whole) > width
    pages = [listed(site.admin, instrument_id=frames, intersects=region, limit=3, offset=k) for k in range(0, 42, 3)]
    assert [number for page in pages for number in page] == whole
    begun = datetime(2024, 6, 8, tzinfo=UTC)
    later = listed(site.admin, instrument_id=frames, intersects=region, start=f"{begun - timedelta(days=2):%Y-%m-%d}")
    assert later == whole[: len(later)]


@pytest.fixture(scope="module")
def hidden(site: Site, frames: str) -> str:
    """The same instrument, with twenty more frames on top that aren't public."""
    for number in range(20):
        site.post(
            record(
                instrument_id=frames,
                target_name=f"{TARGET} hidden {frames}",
                observation_date=f"2024-08-{1 + number:02}T01:00:00Z",
                public_date=FUTURE,
                proposal_id=PROPOSAL if number == 3 else "P-OTHER",
                site_id="s0",
            )
        )
    site.settle()
    return frames


@pytest.mark.parametrize("who", ["anonymous", "user", "admin"])
def test_a31_a_list_that_begins_at_the_first_visible_frame_is_the_one_that_walking_finds(
    site: Site, hidden: str, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    client = getattr(site, who)
    asked = [
        {"instrument_id": hidden, **more}
        for more in ({}, {"site_id": "s1"}, {"OBJECT": TARGET}, {"OBJECT": f"hidden {hidden}"}, {"public": "true"},
                     {"basename": "nosuch"}, {"limit": "3"}, {"limit": "3", "offset": "2"})
    ]  # fmt: skip
    quick = [client.get("/frames/", params=parameters).json() for parameters in asked]

    async def unknown(*_: object) -> None:
        return None

    monkeypatch.setattr(FacetQueries, "newest", unknown)
    assert [client.get("/frames/", params=parameters).json() for parameters in asked] == quick
    assert len(quick[0]["results"]) >= 20


def test_a31_a_frame_that_is_public_at_once_is_listed_above_hidden_ones(site: Site, hidden: str) -> None:
    assert listed(site.anonymous, instrument_id=hidden, limit=1)
    newest = site.post(
        record(instrument_id=hidden, observation_date="2024-08-10T03:00:00Z", public_date=PAST, proposal_id="P-OTHER")
    )
    site.settle()
    assert listed(site.anonymous, instrument_id=hidden, limit=1) == [newest["id"]]
