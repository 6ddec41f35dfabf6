"""Codes of sites and telescopes are as long as the operator says; by default as in the original."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from api.settings import Settings
from domain.errors import Misconfigured
from tests.postgres import fresh_database
from tests.records import fits_bytes, new_name, record
from tests.site import Site, running_site

PLAIN: dict[str, str] = {}
LONGER = {"STARFERRY_SITE_ID_LENGTH": "9", "STARFERRY_TELESCOPE_ID_LENGTH": "12"}


@pytest.fixture
def opened(cluster: str, template: str, tmp_path: Path) -> Iterator[Callable[[dict[str, str]], Site]]:
    with ExitStack() as stack:

        def open_site(environment: dict[str, str]) -> Site:
            conninfo = stack.enter_context(fresh_database(cluster, template=template))
            return stack.enter_context(running_site(tmp_path, conninfo, environment, prepared=True))

        yield open_site


def refusals(site: Site, **codes: str) -> dict[str, list[str]]:
    answer = site.admin.post("/frames/", json=record(**codes))
    assert answer.status_code == 400, answer.text
    found: dict[str, list[str]] = answer.json()
    return found


def test_c07_p01_codes_are_three_and_four_characters_long_unless_set(
    opened: Callable[[dict[str, str]], Site],
) -> None:
    site = opened(PLAIN)
    site.post(record(site_id="abc", telescope_id="abcd"))
    assert refusals(site, site_id="abcd", telescope_id="abcde") == {
        "site_id": ["Ensure this field has no more than 3 characters."],
        "telescope_id": ["Ensure this field has no more than 4 characters."],
    }
    frame = site.post(record())
    answer = site.admin.patch(f"/frames/{frame['id']}/", json={"site_id": "abcd"})
    assert answer.json() == {"site_id": ["Ensure this field has no more than 3 characters."]}


def test_p01_longer_codes_are_accepted_shown_and_found_where_they_are_set(
    opened: Callable[[dict[str, str]], Site],
) -> None:
    site = opened(LONGER)
    frame = site.post(record(site_id="sitecode9", telescope_id="telescope-12"))
    assert (frame["site_id"], frame["telescope_id"]) == ("sitecode9", "telescope-12")
    for query in ("site_id=sitecode9", "TELID=telescope-12"):
        assert [one["id"] for one in site.admin.get(f"/frames/?{query}").json()["results"]] == [frame["id"]]
    changed = site.admin.patch(f"/frames/{frame['id']}/", json={"site_id": "another-9"})
    assert changed.json()["site_id"] == "another-9"
    assert refusals(site, site_id="sitecode10", telescope_id="telescope-013") == {
        "site_id": ["Ensure this field has no more than 9 characters."],
        "telescope_id": ["Ensure this field has no more than 12 characters."],
    }
    picture = record(frame_basename=new_name(), size="small", site_id="sitecode9")
    assert site.admin.post("/thumbnails/", json=picture).status_code == 201


def test_p01_a_file_says_itself_where_it_comes_from(opened: Callable[[dict[str, str]], Site]) -> None:
    frame = opened(PLAIN).ingest(fits_bytes(SITEID="sitecode9", TELID="telescope-12"), f"{new_name()}.fits")
    assert (frame["site_id"], frame["telescope_id"]) == ("sitecode9", "telescope-12")


@pytest.mark.parametrize("value", ["0", "-1", "201", "long"])
def test_p01_a_length_that_cannot_be_is_named(value: str) -> None:
    with pytest.raises(Misconfigured, match="STARFERRY_SITE_ID_LENGTH can't be"):
        Settings({"STARFERRY_SITE_ID_LENGTH": value})
