"""The envelope, pages, counts and links of `/frames/`: rows A03, A31-A36 of the contract."""

from __future__ import annotations

import base64
import secrets
import threading
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from projections.frames.keyset import Mark, beyond, order_by, total
from projections.frames.search import Where
from tests.records import SQUARE, record
from tests.site import Site

FRAMES = 12
SKY = {"type": "Polygon", "coordinates": SQUARE}


@pytest.fixture(scope="module")
def name(site: Site) -> str:
    """An instrument with twelve frames, one an hour, alternately of two targets."""
    name = secrets.token_hex(6)
    for hour in range(FRAMES):
        site.post(record(instrument_id=name, observation_date=f"2024-05-01T{hour:02}:00:00Z", observation_id=77,
                         request_id=88, target_name=f"T{hour % 2}"))  # fmt: skip
    site.settle()
    return name


def ask(client: httpx.Client, **parameters: Any) -> dict[str, Any]:
    answer = client.get("/frames/", params=parameters)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def query_of(link: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(link).query, keep_blank_values=True)


def test_a03_a_list_has_five_keys_and_absolute_links(site: Site, name: str) -> None:
    page = ask(site.anonymous, instrument_id=name, limit=5, offset=5)
    assert list(page) == ["count", "next", "previous", "results", "count_estimated"]
    assert len(page["results"]) == 5
    assert page["next"].startswith(f"{site.url}/frames/?")
    assert page["previous"].startswith(f"{site.url}/frames/?")


def test_a31_links_repeat_all_parameters_sorted(site: Site, name: str) -> None:
    parameters = {"limit": "5", "instrument_id": name, "OBJECT": "T", "foo": "é &=", "offset": "5", "site_id": ""}
    page = ask(site.anonymous, **parameters)
    after, before = query_of(page["next"]), query_of(page["previous"])
    assert after == sorted(after)
    assert dict(after).keys() - parameters.keys() == {"after"}, "where the next page begins"
    assert {key: value for key, value in after if key != "after"} == {**parameters, "offset": "10"}
    assert before == sorted((key, value) for key, value in parameters.items() if key != "offset")
    repeated = site.anonymous.get("/frames/?site_id=a&site_id=tst&limit=1").json()["next"]
    assert [value for key, value in query_of(repeated) if key == "site_id"] == ["a", "tst"]


def test_a31_previous_of_the_page_after_the_first_has_no_offset(site: Site, name: str) -> None:
    for offset in (1, 4, 5):
        page = ask(site.anonymous, instrument_id=name, limit=5, offset=offset)
        assert "offset" not in dict(query_of(page["previous"]))
    assert ask(site.anonymous, instrument_id=name)["previous"] is None


def test_a31_limit_is_a_hundred_and_at_most_a_thousand(site: Site) -> None:
    for limit, shown in (("", 100), ("7", 7), ("1000", 1000), ("1001", 1000), ("99999999999999999999", 1000)):
        page = ask(site.admin, limit=limit, ordering="id")
        if page["next"]:
            assert dict(query_of(page["next"]))["limit"] == str(shown)
    assert len(ask(site.admin, limit="2")["results"]) == 2


@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5", "", "٣x", "9" * 5000])
def test_a31_what_is_no_limit_or_offset_counts_as_not_given(site: Site, name: str, value: str) -> None:
    assert len(ask(site.anonymous, instrument_id=name, limit=value)["results"]) == FRAMES
    if not value.startswith("9"):
        assert len(ask(site.anonymous, instrument_id=name, offset=value)["results"]) == FRAMES


@pytest.mark.parametrize("offset", [FRAMES, FRAMES + 1, 10**9, 2**62, 2**63, 10**30])
def test_a31_an_offset_beyond_the_end_gives_an_empty_page(site: Site, name: str, offset: int) -> None:
    page = ask(site.anonymous, instrument_id=name, offset=offset, limit=3)
    assert (page["results"], page["next"]) == ([], None)
    assert 0 <= page["count"] < 10_000, "no count that nobody has seen"
    assert page["previous"]


@pytest.mark.parametrize(
    "parameters",
    [{"observation_id": "77"}, {"request_id": "88"}, {"basename_exact": "x"},
     {"start": "2024-05-01", "end": "2024-05-08"},
     {"start": "2024-04-01", "end": "2024-06-01", "proposal_id": "P-PUBLIC"},
     {"start": "2024-04-01", "end": "2024-06-01", "target_name_exact": "T1"}],
)  # fmt: skip
def test_a33_these_questions_are_counted_exactly(site: Site, name: str, parameters: dict[str, str]) -> None:
    expected = {"x": 0, "T1": FRAMES // 2}.get(list(parameters.values())[-1], FRAMES)
    for offset in (0, 1, FRAMES + 5):
        page = ask(site.anonymous, instrument_id=name, limit=1, offset=offset, **parameters)
        assert (page["count"], page["count_estimated"]) == (expected, False)


@pytest.mark.parametrize(
    "parameters",
    [{}, {"start": "2024-05-01"}, {"start": "2024-05-01", "end": "2024-05-08T00:00:01"},
     {"start": "2024-03-01", "end": "2024-06-01", "proposal_id": "P-PUBLIC"}],
)  # fmt: skip
def test_a34_other_counts_are_marked_as_estimates_and_possible(
    site: Site, name: str, parameters: dict[str, str]
) -> None:
    page = ask(site.anonymous, instrument_id=name, limit=2, offset=4, **parameters)
    assert page["count_estimated"] is True
    assert page["count"] >= 7, "at least what was seen"
    assert page["next"]


def test_a34_counts_before_any_statistics_are_not_negative(site: Site) -> None:
    for parameters in ({"limit": 1}, {"limit": 1, "site_id": "none"}, {"limit": 1, "covers": "POINT(1 1)"}):
        assert ask(site.anonymous, **parameters)["count"] >= 0


def test_a35_only_somebody_known_may_force_a_count(site: Site, name: str) -> None:
    for value in ("true", "", "false"):
        known = ask(site.user, instrument_id=name, limit=1, force_count=value)
        assert (known["count"], known["count_estimated"]) == (FRAMES, False)
    assert ask(site.anonymous, instrument_id=name, limit=1, force_count="true")["count_estimated"] is True


@pytest.mark.parametrize("limit", [1, 5, 6, 11, 12, 13])
@pytest.mark.parametrize("more", [{}, {"ordering": "target_name"}, {"covers": "POINT(10.5 10.5)"}])
def test_a36_following_next_gives_every_row_once(site: Site, name: str, limit: int, more: dict[str, str]) -> None:
    url = str(httpx.URL("/frames/", params={"instrument_id": name, "limit": limit, **more}))
    assert sorted(followed(site.anonymous, url)) == sorted(set(followed(site.anonymous, url)))
    assert len(followed(site.anonymous, url)) == FRAMES


def test_a36_following_previous_leads_back_to_the_beginning(site: Site, name: str) -> None:
    page = ask(site.anonymous, instrument_id=name, limit=5, offset=10)
    seen = [frame["id"] for frame in page["results"]]
    while page["previous"]:
        page = site.anonymous.get(page["previous"]).json()
        seen = [frame["id"] for frame in page["results"]] + seen
    assert seen == followed(site.anonymous, f"/frames/?instrument_id={name}&limit=100")


def test_a36_the_chain_is_complete_while_frames_come_in(site: Site) -> None:
    """Oldest first, so that what arrives later stands later: everything that was there at the start must be met."""
    group = secrets.token_hex(6)
    before = {site.post(record(instrument_id=group))["id"] for _ in range(20)}
    stop = threading.Event()

    def keep_posting() -> None:
        with httpx.Client(base_url=site.url, headers=site.admin.headers, trust_env=False, timeout=60) as client:
            while not stop.is_set():
                client.post("/frames/", json=record(instrument_id=group)).raise_for_status()

    poster = threading.Thread(target=keep_posting)
    poster.start()
    try:
        for _ in range(2):
            seen = followed(site.admin, f"/frames/?instrument_id={group}&limit=3&ordering=id", most=25)
            assert len(seen) == len(set(seen))
            assert before <= set(seen)
    finally:
        stop.set()
        poster.join()


ORDERS = ["", "observation_date", "-id", "id", "exposure_time", "-exposure_time", "target_name,-exposure_time",
          "-target_name,observation_date", "basename", "-configuration_type,instrument_id"]  # fmt: skip


@pytest.fixture(scope="module")
def mixed(site: Site) -> str:
    """An instrument whose frames have equal values and nulls."""
    name = secrets.token_hex(6)
    for number in range(FRAMES):
        site.post(
            record(
                instrument_id=name,
                observation_date=f"2024-05-0{1 + number % 3}T00:00:00Z",
                exposure_time=(None, 1.5, 30.1)[number // 2 % 3],
                target_name="ÄAaä"[number % 4],
                configuration_type=("BIAS", "EXPOSE")[number % 2],
                area=SKY if number % 4 else None,
            )
        )
    site.settle()
    return name


@pytest.mark.parametrize("ordering", ORDERS)
@pytest.mark.parametrize("style", ["", "cursor"])
def test_a36_every_order_is_followed_through_as_one_page_shows_it(
    site: Site, mixed: str, ordering: str, style: str
) -> None:
    question = {"instrument_id": mixed, "ordering": ordering, "pagination_style": style}
    whole = [frame["id"] for frame in ask(site.anonymous, **question)["results"]]
    assert len(whole) == FRAMES
    for limit in (1, 5):
        assert followed(site.anonymous, str(httpx.URL("/frames/", params={**question, "limit": limit}))) == whole


@pytest.mark.parametrize("more", [{}, {"covers": "POINT(10.5 10.5)"}, {"ordering": "-basename"}, {"ordering": "-id"}])
@pytest.mark.parametrize("style", ["", "cursor"])
def test_a36_ingest_in_front_shifts_no_page(site: Site, more: dict[str, str], style: str) -> None:
    group = secrets.token_hex(6)

    def arrive(number: int) -> int:
        date = f"2024-05-{number + 1:02}T00:00:00Z"
        frame = site.post(record(instrument_id=group, basename=f"{group}-{number:02}", observation_date=date))
        return int(frame["id"])

    there = [arrive(number) for number in range(10)]
    site.settle()
    page = ask(site.admin, instrument_id=group, limit=3, pagination_style=style, **more)
    seen = [frame["id"] for frame in page["results"]]
    arriving = 10
    while page["next"]:
        for _ in range(2):  # more than once a page, so that offsets alone would show rows again
            arrive(arriving)
            arriving += 1
        page = site.admin.get(page["next"]).json()
        seen += [frame["id"] for frame in page["results"]]
    assert seen == there[::-1]


def test_a36_deleting_what_was_seen_skips_nothing(site: Site) -> None:
    group = secrets.token_hex(6)
    there = [site.post(record(instrument_id=group))["id"] for _ in range(6)]
    page = ask(site.admin, instrument_id=group, limit=2, ordering="id")
    seen = [frame["id"] for frame in page["results"]]
    while page["next"]:
        site.admin.delete(f"/frames/{seen[-1]}/").raise_for_status()
        page = site.admin.get(page["next"]).json()
        seen += [frame["id"] for frame in page["results"]]
    assert seen == there


@pytest.mark.parametrize(
    "after", ["x", "%%%", "", "WzFd", "W10", "bnVsbA", "[]", "é", "AAAA", "A" * 10_000, "WyItaWQiLFtbXV0sZmFsc2UsMTBd"]
)
def test_a31_a_place_that_is_not_ours_counts_as_not_given(site: Site, name: str, after: str) -> None:
    plain = ask(site.anonymous, instrument_id=name, limit=2, offset=4)
    page = ask(site.anonymous, instrument_id=name, limit=2, offset=4, after=after)
    assert page["results"] == plain["results"]


def test_a31_an_offset_or_order_that_was_changed_by_hand_is_followed(site: Site, name: str) -> None:
    link = httpx.URL(ask(site.anonymous, instrument_id=name, limit=2)["next"])
    for change in ({"offset": "6"}, {"offset": "0"}, {"ordering": "observation_date"}):
        for parameter, value in change.items():
            changed = link.copy_set_param(parameter, value)
            expected = site.anonymous.get(changed.copy_remove_param("after")).json()["results"]
            assert site.anonymous.get(changed).json()["results"] == expected
    assert len(site.anonymous.get(link.copy_set_param("limit", "5")).json()["results"]) == 5


def test_a32_the_cursor_style_has_no_counts(site: Site, name: str) -> None:
    page = ask(site.anonymous, instrument_id=name, pagination_style="cursor", limit=5)
    assert list(page) == ["next", "previous", "results"]
    assert page["previous"] is None
    assert page["next"].startswith(f"{site.url}/frames/?")
    assert {key for key, _ in query_of(page["next"])} == {"cursor", "instrument_id", "limit", "pagination_style"}
    assert "count" in ask(site.anonymous, instrument_id=name, pagination_style="other")
    assert len(ask(site.anonymous, instrument_id=name, pagination_style="cursor", cursor="")["results"]) == FRAMES


@pytest.mark.parametrize("ordering", ["", "exposure_time", "-target_name"])
def test_a32_cursors_lead_there_and_back(site: Site, mixed: str, ordering: str) -> None:
    page = ask(site.anonymous, instrument_id=mixed, pagination_style="cursor", limit=5, ordering=ordering)
    pages = [page]
    while page["next"]:
        page = site.anonymous.get(page["next"]).json()
        pages.append(page)
    assert [len(page["results"]) for page in pages] == [5, 5, 2]
    back = [page]
    while page["previous"]:
        page = site.anonymous.get(page["previous"]).json()
        back.append(page)
    assert [one["results"] for one in back] == [one["results"] for one in pages[::-1]]
    assert page["previous"] is None
    assert site.anonymous.get(page["next"]).json()["results"] == pages[1]["results"]


def test_a32_a_bad_cursor_is_not_found(site: Site, name: str) -> None:
    good = dict(query_of(ask(site.anonymous, pagination_style="cursor", limit=1)["next"]))["cursor"]
    made = base64.urlsafe_b64encode(b'["-observation_date,-id",["2024-01-01T00:00:00",1],false,0]').decode()
    beyond = base64.urlsafe_b64encode(
        b'["-observation_date,-id",["2024-01-01T00:00:00Z",99999999999],false,0]'
    ).decode()
    nul = base64.urlsafe_b64encode(b'["basename,id",["a\\u0000",1],false,0]').decode()
    assert ask(site.anonymous, pagination_style="cursor", limit=1, cursor=good)["results"]
    for cursor, ordering in (("x", ""), (good[:-4], ""), ("é", ""), ("bz0x", ""), (good, "id"), (made, ""),
                             (beyond, ""), (nul, "basename"), ("\0", "")):  # fmt: skip
        answer = site.anonymous.get(
            "/frames/", params={"pagination_style": "cursor", "cursor": cursor, "ordering": ordering}
        )
        assert (answer.status_code, answer.json()) == (404, {"detail": "Invalid cursor"}), cursor


def test_a32_any_depth_is_reached_through_the_index(site: Site) -> None:
    """What makes a page cost the same at any depth: the place is a condition on the index that gives the order."""
    row = Mark((datetime(2024, 5, 1, tzinfo=UTC), 7))
    order = total((("observation_date", True),))
    where = Where([], [])
    beyond(order, row, where)
    with site.core.pool.connection() as connection, connection.transaction():
        connection.execute(
            "SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off"
        )
        statement = f"EXPLAIN SELECT 1 FROM read_frames.frame f {where.sql()} {order_by(order)} LIMIT 100"
        plan = "\n".join(line for (line,) in connection.execute(statement.encode(), where.parameters))
    assert "frame_newest" in plan
    assert "Index Cond: (ROW(observation_date, id) < ROW(" in plan
    assert "Sort" not in plan


def test_a33_a_region_among_these_questions_is_counted_exactly_too(site: Site, mixed: str) -> None:
    question = {"instrument_id": mixed, "covers": "POINT(10.5 10.5)", "start": "2024-05-01", "end": "2024-05-04"}
    page = ask(site.anonymous, limit=2, **question)
    assert (page["count"], page["count_estimated"]) == (9, False)
    following = site.anonymous.get(page["next"]).json()
    assert (following["count"], following["count_estimated"]) == (9, False)


def followed(client: httpx.Client, url: str, most: int = 1000) -> list[int]:
    """All ids along the links, of at most so many pages."""
    seen: list[int] = []
    following: str | None = url
    while following and most:
        page = client.get(following).json()
        assert page["results"], "no link leads to an empty page"
        seen += [frame["id"] for frame in page["results"]]
        following, most = page["next"], most - 1
    return seen
