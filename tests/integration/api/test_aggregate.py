"""`/frames/aggregate/`: rows E01-E04 and X03 of the contract."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.postgres import fresh_database
from tests.records import FUTURE, PAST, record
from tests.site import PROPOSAL, Site, running_site

KEYS = {
    "sites": "site_id",
    "telescopes": "telescope_id",
    "filters": "primary_optical_element",
    "instruments": "instrument_id",
    "obstypes": "configuration_type",
    "proposals": "proposal_id",
}
YEAR = {"start": "2020-01-01", "end": "2020-12-31"}


class Place:
    """A site of its own (by `site_id`) whose frames are told apart by their filters."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.name = secrets.token_hex(6)

    def add(self, element: str, observed: str = "2020-05-05T05:05:05Z", **changes: Any) -> dict[str, Any]:
        changes = {"site_id": self.name, "observation_date": observed, "primary_optical_element": element, **changes}
        return self.site.post(record(**changes))

    def ask(self, client: httpx.Client | None = None, /, **parameters: Any) -> dict[str, Any]:
        self.site.settle()
        parameters = {"site_id": self.name, "public": "true", **YEAR, **parameters}
        answer = (client or self.site.admin).get("/frames/aggregate/", params=parameters)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def filters(self, client: httpx.Client | None = None, /, **parameters: Any) -> list[str]:
        found: list[str] = self.ask(client, **parameters)["filters"]
        return found


@pytest.fixture
def place(site: Site) -> Iterator[Place]:
    yield Place(site)
    assert not site.failures()


@pytest.fixture(scope="module")
def empty(cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("empty")
    with (
        fresh_database(cluster, template=template) as conninfo,
        running_site(folder, conninfo, prepared=True) as running,
    ):
        yield running


def test_e01_an_empty_archive_answers_with_seven_keys(empty: Site) -> None:
    for client in (empty.anonymous, empty.user, empty.admin):
        for path in ("/frames/aggregate/", "/frames/aggregate/?start=2020-01-01&end=2020-02-01&public=true"):
            answer = client.get(path)
            assert answer.status_code == 200, answer.text
            body = answer.json()
            assert list(body) == [*KEYS, "generated_at"]
            assert [body[key] for key in KEYS] == [[]] * 6
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body["generated_at"])


def test_e01_without_parameters_everything_that_the_archive_has_is_named_without_blanks(place: Place) -> None:
    values = {name: secrets.token_hex(5) for name in KEYS.values()} | {"configuration_type": "BIAS"}
    place.add("", **values)
    place.add("", **(dict.fromkeys(values, "") | {"configuration_type": "BIAS"}))
    place.site.settle()
    for path in ("/frames/aggregate/", "/frames/aggregate/?query_timeout=0", "/frames/aggregate/?start=&public="):
        body = place.site.anonymous.get(path).json()
        for key, name in KEYS.items():
            assert values[name] in body[key]
            assert "" not in body[key]


def test_e02_start_belongs_to_the_range_and_end_does_not_to_the_minute(place: Place) -> None:
    for element, observed in (
        ("before", "2020-05-05T09:59:59.999999Z"),
        ("first", "2020-05-05T10:00:00Z"),
        ("last", "2020-05-05T11:59:59.999999Z"),
        ("after", "2020-05-05T12:00:00Z"),
    ):
        place.add(element, observed)
    assert place.filters(start="2020-05-05T10:00", end="2020-05-05T12:00") == ["first", "last"]
    assert place.filters(start="2020-05-05T10:00:59.9Z", end="2020-05-05T12:00:59Z") == ["first", "last"]
    assert place.filters(start="2020-05-05T12:00:00+02:00", end="2020-05-05 14:00+0200") == ["first", "last"]
    assert place.filters(start="2020-05-05", end="2020-05-06") == ["after", "before", "first", "last"]
    assert place.filters(start="2020-05-05T10:00", end="2020-05-05T10:00") == []
    assert place.filters(start="2020-05-06", end="2020-05-05") == []


def test_e02_a_range_that_cuts_the_frames_of_one_kind_is_exact_to_the_minute(place: Place) -> None:
    for observed in ("2020-05-05T01:00:00Z", "2020-05-05T23:00:00Z"):
        place.add("same", observed)
    assert place.filters(start="2020-05-05T00:30", end="2020-05-05T01:01") == ["same"]
    assert place.filters(start="2020-05-05T01:01", end="2020-05-05T23:00") == []
    assert place.filters(start="2020-05-05T23:00", end="2020-05-06T03:00") == ["same"]


def test_e02_each_of_the_six_filters_narrows_all_values(place: Place) -> None:
    one = {name: secrets.token_hex(5) for name in KEYS.values()} | {"configuration_type": "DARK"}
    other = {name: secrets.token_hex(5) for name in KEYS.values()} | {"configuration_type": "BIAS"}
    place.add("", **one)
    place.add("", **other)
    for name in KEYS.values():
        also = {} if name == "instrument_id" else {"instrument_id": one["instrument_id"]}  # types aren't ours alone
        body = place.ask(**{"site_id": "", name: one[name], **also})
        assert {key: body[key] for key in KEYS} == {key: [one[column]] for key, column in KEYS.items()}
    assert place.filters(site_id=one["site_id"], instrument_id=other["instrument_id"]) == []
    assert place.filters(site_id="nowhere") == []
    assert place.ask(site_id=one["site_id"], aggregate_field="SITEID", unknown="1")["sites"] == [one["site_id"]]


@pytest.mark.parametrize(
    "parameters",
    [{"start": "2020-01-01"}, {"end": "2020-01-01"}, {"public": "false"}, {"site_id": "coj"}, {"proposal_id": "x"}],
)
def test_e02_any_parameter_needs_both_start_and_end(site: Site, parameters: dict[str, str]) -> None:
    answer = site.anonymous.get("/frames/aggregate/", params=parameters)
    assert (answer.status_code, answer.json()) == (400, "both start & end must be specified")


def test_e02_a_range_is_at_most_365_days(site: Site) -> None:
    asked = {"start": "2020-01-01", "end": "2020-12-31", "public": "true"}  # a leap year
    assert site.anonymous.get("/frames/aggregate/", params=asked).status_code == 200
    answer = site.anonymous.get("/frames/aggregate/", params={**asked, "end": "2020-12-31T00:01"})
    assert (answer.status_code, answer.json()) == (
        400,
        "time range must be less than or equal to a year (365 days)",
    )


BAD_TIME = (
    "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
)


def test_e02_bad_values_are_refused_by_name(site: Site) -> None:
    asked = {"start": "yesterday", "end": "0001-01-01T00:00+10:00", "public": "maybe", "query_timeout": "20001"}
    answer = site.anonymous.get("/frames/aggregate/", params=asked)
    assert answer.status_code == 400
    assert answer.json() == {
        "start": [BAD_TIME],
        "end": [BAD_TIME],
        "public": ["Must be a valid boolean."],
        "query_timeout": ["Ensure this value is less than or equal to 20000."],
    }
    for value, sentence in (
        ("-1", "Ensure this value is greater than or equal to 0."),
        ("x", "A valid integer is required."),
    ):
        answer = site.anonymous.get("/frames/aggregate/", params={"query_timeout": value})
        assert (answer.status_code, answer.json()) == (400, {"query_timeout": [sentence]})
    assert site.anonymous.get("/frames/aggregate/", params={"site_id": "a\0b"}).status_code == 400
    for value in ("0", "20000", "2000.0"):
        assert site.anonymous.get("/frames/aggregate/", params={"query_timeout": value}).status_code == 200


def test_e03_a_visitor_gets_public_frames_and_only_when_asking_for_public_ones(place: Place) -> None:
    place.add("open", public_date=PAST)
    place.add("closed", public_date=FUTURE)
    place.add("never", public_date=None)
    assert place.filters(place.site.anonymous) == ["open"]
    for public in ("false", ""):
        body = place.ask(place.site.anonymous, public=public)
        assert body == {**{key: [] for key in KEYS}, "generated_at": ""}


def test_e03_a_user_also_gets_what_is_not_yet_public_of_own_proposals(place: Place) -> None:
    place.add("open", public_date=PAST)
    place.add("closed", public_date=FUTURE)
    place.add("own open", public_date=PAST, proposal_id=PROPOSAL)
    place.add("own closed", public_date=FUTURE, proposal_id=PROPOSAL)
    place.add("own never", public_date=None, proposal_id=PROPOSAL)
    own = ["own closed", "own never"]
    assert place.filters(place.site.user) == ["open", *own, "own open"]
    assert place.filters(place.site.user, public="false") == own
    assert place.filters(place.site.user, public="") == own
    assert place.filters(place.site.admin) == ["closed", "open", *own, "own open"]
    assert place.filters(place.site.admin, public="false") == ["closed", *own]


def test_e03_of_frames_of_one_kind_the_viewer_counts_only_those_in_the_range(place: Place) -> None:
    place.add("same", "2020-05-05T01:00:00Z", public_date=PAST)
    place.add("same", "2020-05-05T23:00:00Z", public_date=FUTURE)
    evening = {"start": "2020-05-05T22:00", "end": "2020-05-06T00:00"}
    assert place.filters(place.site.anonymous, **evening) == []
    assert place.filters(place.site.user, **evening) == []
    assert place.filters(place.site.admin, **evening) == ["same"]
    assert place.filters(place.site.admin, end="2020-05-05T12:00", public="false") == []


def test_e03_without_parameters_nobody_learns_the_names_of_proposals_whose_frames_they_cannot_see(place: Place) -> None:
    secret, public = secrets.token_hex(5), secrets.token_hex(5)
    place.add("e03", proposal_id=secret, public_date=FUTURE)
    place.add("e03", proposal_id=public, public_date=FUTURE)
    place.add("e03", proposal_id=public, public_date=PAST)
    place.add("e03", proposal_id=PROPOSAL, public_date=FUTURE)

    place.site.settle()

    def proposals(client: httpx.Client) -> set[str]:
        return set(client.get("/frames/aggregate/").json()["proposals"]) & {secret, public, PROPOSAL}

    assert proposals(place.site.admin) == {secret, public, PROPOSAL}
    member = place.site.client(place.site.new_user(secrets.token_hex(5), proposals=(secret,)))
    assert {secret, public} <= proposals(member)
    assert secret not in proposals(place.site.user)
    assert secret not in proposals(place.site.anonymous)
    assert {public, PROPOSAL} <= proposals(place.site.user)


def test_e04_answers_say_how_long_they_may_be_kept_and_that_they_depend_on_the_viewer(site: Site) -> None:
    now = datetime.now(UTC)
    past = f"?start={now - timedelta(days=30):%Y-%m-%d}&end={now - timedelta(minutes=1):%Y-%m-%dT%H:%M}&public=true"
    future = f"?start={now:%Y-%m-%d}&end={now + timedelta(days=2):%Y-%m-%d}&public=true"
    for client, path, age in (
        (site.anonymous, past, 86400),
        (site.anonymous, future, 3600),
        (site.anonymous, past.replace("true", "false"), 86400),
        (site.anonymous, "", 3600),
        (site.user, past, 300),
        (site.user, future, 300),
        (site.admin, "", 300),
    ):
        answer = client.get(f"/frames/aggregate/{path}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == f"max-age={age}"
        assert {"Cookie", "Authorization"} <= set(answer.headers["vary"].split(", "))
    assert "cache-control" not in site.anonymous.get("/frames/aggregate/?public=true").headers


def test_x03_the_answer_follows_every_change_at_once(place: Place) -> None:
    body = record(site_id=place.name, observation_date="2020-05-05T05:05:05Z", primary_optical_element="old")
    place.site.post({**body, "version_set": []})
    assert place.filters() == [], "a frame without a version is in no list either"
    place.site.post(body)
    assert place.filters() == ["old"]
    place.site.post({**body, "version_set": [], "primary_optical_element": "new"})
    assert place.filters() == ["new"]
    place.site.post({**body, "version_set": [], "primary_optical_element": "new", "observation_date": None})
    assert place.filters() == []
    place.add("other")
    assert place.filters() == ["other"]
    assert place.ask(place.site.anonymous)["sites"] == [place.name]


def test_aggregate_is_read_only_and_found_without_its_slash(site: Site) -> None:
    assert site.admin.post("/frames/aggregate/", json={}).status_code == 405
    assert site.anonymous.get("/frames/aggregate", follow_redirects=True).status_code == 200
