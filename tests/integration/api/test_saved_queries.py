"""A saved query means the same to the list of frames, to a backfill's finder and to a policy that has nothing but the
record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from api.frame_query import FILTERS, parse_query
from api.ocs.description_search import search_parameters
from api.ocs.filters import parse_search
from api.operations import matching_frames
from application.frame_matching import FrameMatcher
from application.permissions import Principal
from domain import frames
from domain.errors import InvalidInput
from domain.frame_query import FrameQuery
from projections.frames.matching import query_of_search, search_of_query
from tests.records import FUTURE, PAST, record
from tests.site import PROPOSAL, Site

SITE = "saved-queries"
AROUND = [[[20.0, 10.0], [21.0, 10.0], [21.0, 11.0], [20.0, 11.0], [20.0, 10.0]]]
FRAMES: dict[str, dict[str, Any]] = {
    "plain": {},
    "accented": {"target_name": "Ñandú 7", "proposal_id": PROPOSAL, "public_date": FUTURE},
    "without target": {"target_name": "", "configuration_type": "BIAS", "exposure_time": None, "area": None},
    "elsewhere": {"area": {"type": "Polygon", "coordinates": AROUND}, "exposure_time": 120.0, "reduction_level": 91},
    "numbered": {"observation_id": 4711, "request_id": 9, "observation_day": "2024-02-02", "target_name": "ngc 7"},
    "submitted": {"headers": {"USERID": "edwin", "OBJECT": "x"}, "public_date": FUTURE, "proposal_id": "P-OTHER"},
    "own, public": {
        "proposal_id": PROPOSAL,
        "public_date": PAST,
        "primary_optical_element": "V",
        "instrument_id": "fa9",
    },
    "never public": {"proposal_id": PROPOSAL, "public_date": None, "observation_date": "2025-06-01T00:00:00Z"},
    "hidden": {"observation_date": None},
}
QUERIES: list[list[tuple[str, str]]] = [
    [],
    [("target_name", "NGC")],
    [("target_name", "nandu")],
    [("OBJECT", "Ñan")],
    [("OBJECT", "ñAN")],
    [("OBJECT", "M3")],
    [("target_name_exact", "Ñandú 7")],
    [("target_name_exact", "M31")],
    [("empty_target_name", "true")],
    [("basename", "TST1M001")],
    [("basename", "nowhere")],
    [("exposure_time", "30")],
    [("EXPTIME", "100.5")],
    [("reduction_level", "0")],
    [("RLEVEL", "91"), ("PROPID", "P-PUBLIC")],
    [("observation_id", "4711")],
    [("REQNUM", "9")],
    [("dayobs", "2024-02-02")],
    [("DATE_OBS", "2025-06-01T00:00:00")],
    [("L1PUBDAT", PAST)],
    [("start", "2025-01-01")],
    [("end", "2024-01-01T03:04:05.678")],
    [("start", "2024-01-01T03:04:05.678"), ("end", "2024-12-31")],
    [("include_configuration_type", "BIAS"), ("include_configuration_type", "DARK")],
    [("exclude_OBSTYPE", "BIAS")],
    [("exclude_calibrations", "true")],
    [("exclude_calibrations", "true"), ("include_configuration_type", "BIAS")],
    [("proposal_id", "a"), ("PROPID", "b")],
    [("submitter", "edwin")],
    [("submitter", "nobody")],
    [("public", "true")],
    [("public", "false")],
    [("FILTER", "V")],
    [("INSTRUME", "fa9"), ("TELID", "1m0a")],
    [("covers", "POINT(10.5 10.5)")],
    [("intersects", "POLYGON((10.9 10.9, 20.1 10.9, 20.1 10.95, 10.9 10.95, 10.9 10.9))")],
    [("intersects", "POINT(20.5 10.5)"), ("reduction_level", "91")],
    [("covers", "POINT EMPTY")],
]
VIEWERS = {
    "alice": Principal("alice", proposals=(PROPOSAL,)),
    "admin": Principal("admin", is_superuser=True),
    "nobody": Principal(),
    "stranger": Principal("stranger"),
}


@pytest.fixture(scope="module")
def names(site: Site) -> dict[str, str]:
    """What the frames are called, by basename."""
    made = {site.post(record(site_id=SITE, **changes))["basename"]: name for name, changes in FRAMES.items()}
    site.settle()
    return made


def query_of(site: Site, filters: list[tuple[str, str]]) -> FrameQuery:
    settings = site.core.settings
    return parse_query(
        urlencode(filters),
        site.core.sky,
        types=settings["CONFIGURATION_TYPES"],
        science_types=settings["SCIENCE_CONFIGURATION_TYPES"],
    )


@pytest.mark.parametrize("viewer", VIEWERS)
@pytest.mark.parametrize("filters", QUERIES, ids=lambda filters: urlencode(filters)[:60] or "everything")
def test_s36_s37_list_finder_and_policy_mean_the_same_frames(
    site: Site, names: dict[str, str], filters: list[tuple[str, str]], viewer: str
) -> None:
    filters = [*filters, ("site_id", SITE)]
    clients = {"alice": site.user, "admin": site.admin, "nobody": site.anonymous}
    query, who, now = query_of(site, filters), VIEWERS[viewer], datetime.now(UTC)
    matcher = FrameMatcher(site.core.sky)
    decided = set()
    for basename, name in names.items():
        frame = frames.fold(site.core.log.load(frames.stream_of(basename)))
        assert frame.record is not None
        if matcher.shows(query, frame.record, frame.headers, who, now):
            decided.add(name)
    found = matching_frames(site.core).of_query(query, who, now, after=0, limit=100)
    assert decided <= {names[one.basename] for one in found}, "a backfill would miss them"
    if not (query.covers or query.intersects):
        assert decided == {names[one.basename] for one in found}
    if viewer in clients:
        listed = clients[viewer].get("/frames/", params=filters).json()["results"]
        assert decided == {names[row["basename"]] for row in listed}


def test_s36_a_query_survives_its_event(site: Site) -> None:
    for filters in QUERIES:
        query = query_of(site, filters)
        assert msgspec.json.decode(msgspec.json.encode(query), type=FrameQuery) == query
        search = search_of_query(query, site.core.sky)
        assert query_of_search(search, covers=query.covers, intersects=query.intersects) == query
        settings = site.core.settings
        assert search == parse_search(
            filters,
            site.core.sky,
            types=settings["CONFIGURATION_TYPES"],
            science_types=settings["SCIENCE_CONFIGURATION_TYPES"],
        )


def test_s36_the_filters_are_those_that_the_list_of_frames_describes() -> None:
    assert {parameter.name for parameter in search_parameters(["EXPOSE"], ["EXPOSE"])} == FILTERS


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("proposl_id=P1", "has no filter 'proposl_id'"),
        ("limit=10", "has no filter 'limit'"),
        ("proposal_id=", "proposal_id has no value"),
        ("proposal_id", "proposal_id has no value"),
        ("public=perhaps", "public is true or false"),
        ("reduction_level=two", "reduction_level can't be used: Enter a number."),
        ("include_configuration_type=PAINT", "include_configuration_type can't be used: Select a valid choice."),
        ("basename=%00", "basename can't be used: Null characters are not allowed."),
        ("basename=a\nb", "no control characters"),
        ("covers=HERE", "The value of covers is no region of the sky"),
        ("&".join(["site_id=coj"] * 201), "at most 200 filters"),
        ("basename=" + "x" * 20_000, "at most 20000 characters"),
    ],
)
def test_s36_what_the_list_would_ignore_or_refuse_is_refused(site: Site, text: str, sentence: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_query(text, site.core.sky, types=["EXPOSE"], science_types=["EXPOSE"])
    assert sentence in str(refused.value)
