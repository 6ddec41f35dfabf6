"""Filters, ordering and geometry of `/frames/`: rows A13-A30 of the contract."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.records import FUTURE, PAST, new_name, record
from tests.site import PROPOSAL, Site


class Group:
    """Frames of one instrument that no other test uses, and what a query finds of them, by `target_name` or given
    attribute."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.name = secrets.token_hex(6)

    def add(self, **changes: Any) -> dict[str, Any]:
        return self.site.post(record(instrument_id=self.name, **changes))

    def ask(self, client: httpx.Client | None = None, /, **parameters: Any) -> httpx.Response:
        # the trailing filter keeps the group apart; an INSTRUME of the query would clash with it
        return (client or self.site.admin).get("/frames/", params={"instrument_id": self.name, **parameters})

    def found(self, client: httpx.Client | None = None, /, *, by: str = "target_name", **parameters: Any) -> set[Any]:
        answer = self.ask(client, **parameters)
        assert answer.status_code == 200, answer.text
        return {frame[by] for frame in answer.json()["results"]}


@pytest.fixture
def group(site: Site) -> Iterator[Group]:
    yield Group(site)
    assert not site.failures()


DATES = {
    "before": "2024-03-01T11:59:59.999999Z",
    "start": "2024-03-01T12:00:00Z",
    "middle": "2024-03-02T00:00:00Z",
    "end": "2024-03-03T12:00:00Z",
    "after": "2024-03-03T12:00:00.000001Z",
}


def test_a13_start_and_end_are_inclusive(group: Group) -> None:
    for name, date in DATES.items():
        group.add(target_name=name, observation_date=date)
    assert group.found(start=DATES["start"], end=DATES["end"]) == {"start", "middle", "end"}
    assert group.found(start="2024-03-03 12:00") == {"end", "after"}
    assert group.found(end="2024-03-02") == {"before", "start", "middle"}, "a bare date is its midnight"


@pytest.mark.parametrize(
    "form",
    ["2024-03-01T12:00:00Z", "2024-03-01T12:00", "2024-03-01 12:00", "2024-03-01 12:00:00", "2024-03-01T12:00:00.0",
     "2024-03-01T14:00:00+02:00", "2024-03-01T14:00+0200", "2024-03-01 07:00:00-05:00", "03/01/2024 12:00",
     "03/01/2024 12:00:00", " 2024-03-01T12:00:00 "],
)  # fmt: skip
def test_a13_every_form_of_a_time_is_understood(group: Group, form: str) -> None:
    group.add(target_name="yes", observation_date="2024-03-01T12:00:00Z")
    assert group.found(start=form, end=form) == {"yes"}


def test_a13_bare_dates_and_mixed_offsets_never_fail(group: Group) -> None:
    group.add(target_name="yes", observation_date="2024-03-01T12:00:00Z")
    for start, end in (("20240301", "2024-03-02T00:00:00+05:00"), ("03/01/2024", "2024-03-02"), ("", ""),
                       ("2024-03-01T00:00Z", "2024-03-01T23:59"), ("0001-01-01", "9999-12-31T23:59:59")):  # fmt: skip
        assert group.found(start=start, end=end) == {"yes"}
    assert group.ask(start="0001-01-01T00:00:00+14:00").status_code == 400
    assert group.ask(end="9999-12-31T23:59:59-12:00").status_code == 400


def test_a14_dates_are_matched_exactly_under_both_names(group: Group) -> None:
    group.add(target_name="a", observation_date="2024-03-01T12:00:00.5Z", observation_day="20240301")
    group.add(target_name="b", observation_date="2024-03-01T12:00:00Z", public_date="2017-05-06T07:08:09Z",
              observation_day="2024-03-02")  # fmt: skip
    assert group.found(DATE_OBS="2024-03-01T12:00:00.500") == {"a"}
    assert group.found(DATE_OBS="2024-03-01T12:00:00") == {"b"}
    assert group.found(L1PUBDAT="2017-05-06 07:08:09") == {"b"}
    for name in ("dayobs", "DAY_OBS"):
        for form in ("2024-03-02", "03/02/2024", "03/02/24", "Mar 2 2024", "2 March 2024", "March 2, 2024"):
            assert group.found(**{name: form}) == {"b"}
        assert group.ask(**{name: "20240302"}).json() == {name: ["Enter a valid date."]}


def test_a15_basename_is_a_substring_and_wildcards_are_literal(group: Group) -> None:
    stem = f"Tst_{secrets.token_hex(4)}"
    for name in (f"{stem}-100%-e00", f"{stem}-1000-e00", f"{stem}.x-e00", f"{stem}é-e00"):
        group.add(basename=name, target_name=name)
    assert group.found(basename=f"{stem}-100%-E") == {f"{stem}-100%-e00"}
    assert group.found(basename="0%") == {f"{stem}-100%-e00"}
    assert group.found(basename="st_") == {f"{stem}{rest}" for rest in ("-100%-e00", "-1000-e00", ".x-e00", "é-e00")}
    assert group.found(basename=f"{stem}X") == set()
    assert group.found(basename=f"{stem}é-E0") == {f"{stem}é-e00"}
    assert group.found(basename="\\") == set()
    assert group.found(basename="'; DROP TABLE frame --") == set()
    assert group.found(basename_exact=f"{stem}-1000-e00") == {f"{stem}-1000-e00"}
    assert group.found(basename_exact=f"{stem}-1000-e00".upper()) == set(), "case-sensitive"
    assert group.found(basename_exact=f"{stem}-1000") == set()


def test_a16_targets_are_searched_by_their_names(group: Group) -> None:
    for name in ("NGC 253", "ngc 2535", "M_31", "M131", ""):
        group.add(target_name=name)
    for parameter in ("OBJECT", "target_name"):
        assert group.found(**{parameter: "gC 253"}) == {"NGC 253", "ngc 2535"}
        assert group.found(**{parameter: "M_3"}) == {"M_31"}
        assert group.found(**{parameter: "3"}) == {"NGC 253", "ngc 2535", "M_31", "M131"}
    assert group.found(target_name_exact="NGC 253") == {"NGC 253"}
    assert group.found(target_name_exact="ngc 253") == set()
    for anything in ("true", "false", "x"):
        assert group.found(empty_target_name=anything) == {""}
    assert len(group.found(empty_target_name="")) == 5


def test_a17_stored_and_asked_targets_are_folded_alike(group: Group) -> None:
    for name in ("Ñandú", "Nandu", "Κρόνος", "Ångström"):
        group.add(target_name=name)
    assert group.found(target_name="ñandú") == {"Ñandú", "Nandu"}
    assert group.found(target_name="NANDU") == {"Ñandú", "Nandu"}
    assert group.found(target_name="angstr") == {"Ångström"}
    assert group.found(target_name="κρον") == {"Κρόνος"}
    assert group.found(OBJECT="Ñandú") == {"Ñandú"}, "OBJECT doesn't fold"
    assert group.found(OBJECT="andu") == {"Nandu"}
    assert "Ñandú" in group.found(target_name_exact="Ñandú")
    assert group.found(target_name_exact="Nandu") == {"Nandu"}


@pytest.mark.parametrize("name", ["exposure_time", "EXPTIME"])
def test_a18_exposure_time_is_a_lower_bound(group: Group, name: str) -> None:
    for seconds in (1.5, 30.0, 300.0):
        group.add(exposure_time=seconds)
    group.add(exposure_time=None)
    assert group.found(by="exposure_time", **{name: "30"}) == {30.0, 300.0}
    assert group.found(by="exposure_time", **{name: "3.00001e1"}) == {300.0}
    for bad in ("x", "nan", "inf", "1e999", "1,5"):
        assert group.ask(**{name: bad}).json() == {name: ["Enter a number."]}


PAIRS = [
    ("proposal_id", "PROPID", "P-1", "p-1"),
    ("site_id", "SITEID", "lsc", "LSC"),
    ("telescope_id", "TELID", "2m0b", "2M0B"),
    ("primary_optical_element", "FILTER", "gp", "GP"),
    ("configuration_type", "OBSTYPE", "BIAS", "bias"),
    ("observation_id", "BLKUID", 12, 13),
    ("request_id", "REQNUM", 12, 13),
    ("reduction_level", "RLEVEL", 91, 0),
]


@pytest.mark.parametrize(("modern", "legacy", "value", "other"), PAIRS)
def test_a19_equality_filters_work_under_both_names(
    group: Group, modern: str, legacy: str, value: Any, other: Any
) -> None:
    group.add(target_name="yes", **{modern: value})
    group.add(target_name="no")
    for name in (modern, legacy):
        assert group.found(**{name: value}) == {"yes"}
        assert "yes" not in group.found(**{name: other}), "case-sensitive"
        if isinstance(value, int):
            assert group.found(**{name: f"00{value}"}) == {"yes"}
            assert group.found(**{name: str(10**30)}) == set()
            assert group.ask(**{name: "x"}).json() == {name: ["Enter a number."]}
    assert group.found(**{modern: value, legacy: other}) == set(), "all filters must hold"


def test_a19_instruments_are_found_under_both_names(site: Site) -> None:
    name = secrets.token_hex(6)
    site.post(record(instrument_id=name))
    for parameter in ("instrument_id", "INSTRUME"):
        assert site.admin.get("/frames/", params={parameter: name}).json()["count"] == 1
        assert site.admin.get("/frames/", params={parameter: name.upper() + "x"}).json()["count"] == 0


def test_a20_configuration_types_are_included_and_excluded(group: Group) -> None:
    for kind in ("BIAS", "DARK", "EXPOSE"):
        group.add(configuration_type=kind)
    by = "configuration_type"
    assert group.found(by=by, include_configuration_type=["BIAS", "DARK"]) == {"BIAS", "DARK"}
    for name in ("exclude_configuration_type", "exclude_OBSTYPE"):
        assert group.found(by=by, **{name: ["BIAS", "DARK"]}) == {"EXPOSE"}
    for name in ("include_configuration_type", "exclude_configuration_type", "exclude_OBSTYPE"):
        for bad in ("FOO", "BIAS,DARK", "bias"):
            expected = [f"Select a valid choice. {bad} is not one of the available choices."]
            answer = group.ask(**{name: bad})
            assert (answer.status_code, answer.json()) == (400, {name: expected})
    assert group.found(by=by, OBSTYPE="FOO") == set(), "equality takes free text"


def test_a21_exclude_calibrations_keeps_science(group: Group) -> None:
    for kind in ("BIAS", "EXPOSE", "SPECTRUM", "CATALOG", "GUIDE"):
        group.add(configuration_type=kind)
    by = "configuration_type"
    for yes in ("true", "1", "TRUE"):
        assert group.found(by=by, exclude_calibrations=yes) == {"EXPOSE", "SPECTRUM", "CATALOG"}
    assert len(group.found(by=by, exclude_calibrations="false")) == 5
    assert group.found(by=by, exclude_calibrations="true", include_configuration_type="BIAS") == set()


def test_a22_public_follows_the_whole_matrix(group: Group) -> None:
    site = group.site
    group.add(target_name="public")
    group.add(target_name="own public", proposal_id=PROPOSAL)
    group.add(target_name="own", proposal_id=PROPOSAL, public_date=FUTURE)
    group.add(target_name="other", proposal_id="P-OTHER", public_date=FUTURE)
    group.add(target_name="never", public_date=None)
    nobody = site.client(site.new_user(f"nobody-{group.name}"))
    site.settle()
    everything = {"public", "own public", "own", "other", "never"}
    matrix = [
        (site.anonymous, {"public", "own public"}, set()),
        (site.user, {"public", "own public", "own"}, {"own public", "own"}),
        (nobody, {"public", "own public"}, {"public", "own public"}),
        (site.admin, everything, {"own", "other", "never"}),
    ]
    for client, normal, private in matrix:
        for value in ("", "true", "1", "perhaps"):
            assert group.found(client, public=value) == normal
        for value in ("false", "0", "False"):
            assert group.found(client, public=value) == private


def polygon(*points: tuple[float, float]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[list(point) for point in (*points, points[0])]]}


def test_a23_submitter_is_the_header_userid(group: Group) -> None:
    for target, headers in {
        "ada": {"USERID": "ada", "OTHER": "bob"},
        "bob": {"USERID": "bob"},
        "upper": {"USERID": "ADA"},
        "accent": {"USERID": "Andrée"},
        "number": {"USERID": 7},
        "nested": {"X": {"USERID": "ada"}},
        "none": {"A": "ada"},
        "null": {"USERID": None},
    }.items():
        group.add(target_name=target, headers=headers)
    for asked, found in {"ada": {"ada"}, "ADA": {"upper"}, "ad": set(), "Andrée": {"accent"}, "7": set()}.items():
        assert group.found(submitter=asked) == found, asked
    assert len(group.found(submitter="")) == 8
    assert group.ask(submitter="a\0").json() == {"submitter": ["Null characters are not allowed."]}


def test_a23_submitter_follows_the_newest_headers(group: Group) -> None:
    frame = group.add(headers={"USERID": "ada"})
    name = frame["basename"]
    assert group.site.admin.patch(f"/frames/{frame['id']}/", json={"target_name": "edited"}).status_code == 200
    assert group.found(submitter="ada") == {"edited"}, "an edit of the record keeps the headers"
    group.add(basename=name, version_set=[], headers={"USERID": "bob"})
    assert (group.found(submitter="ada"), group.found(submitter="bob")) == (set(), {"M31"})
    answer = group.site.admin.get(f"/frames/{frame['id']}/", params={"submitter": "ada"})
    assert answer.status_code == 404


SKY = {
    "square": polygon((0, 0), (10, 0), (10, 10), (0, 10)),
    "wrap": polygon((350, -10), (10, -10), (10, -5), (350, -5)),
    "pole": polygon((0, 80), (90, 80), (180, 80), (270, 80)),
}


@pytest.fixture(scope="module")
def sky(site: Site) -> Group:
    group = Group(site)
    for name, area in SKY.items():
        group.add(target_name=name, area=area)
    group.add(
        target_name="holed",
        area={
            "type": "Polygon",
            "coordinates": [
                [[100, 0], [120, 0], [120, 20], [100, 20], [100, 0]],
                [[105, 5], [115, 5], [115, 15], [105, 15], [105, 5]],
            ],
        },
    )
    group.add(target_name="no area", area=None)
    return group


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        ("POINT(5 5)", {"square"}),
        ("point (365 5)", {"square"}),
        ("POINT(-355 5)", {"square"}),
        ("SRID=4326;POINT(5 5)", {"square"}),
        ("POINT Z (5 5 3)", {"square"}),
        ("POINT(5 10.02)", {"square"}),  # edges are great circles
        ("POINT(5 10.2)", set()),
        ("POINT(0 0)", {"square"}),  # the boundary counts
        ("POINT(0 -7)", {"wrap"}),
        ("POINT(359.9 -7)", {"wrap"}),
        ("POINT(340 -7)", set()),
        ("POINT(100 89)", {"pole"}),
        ("POINT(7 90)", {"pole"}),
        ("POINT(102 10)", {"holed"}),
        ("POINT(110 10)", set()),
        ("MULTIPOINT((5 5),(6 6))", {"square"}),
        ("LINESTRING(1 1,9 9)", {"square"}),
        ("POLYGON((1 1,2 1,2 2,1 2,1 1))", {"square"}),
        ("GEOMETRYCOLLECTION(POINT(5 5),POINT(6 6))", {"square"}),
        (json.dumps({"type": "Point", "coordinates": [5, 5]}), {"square"}),
        ("0101000020E610000000000000000014400000000000001440", {"square"}),
        ("POINT EMPTY", set()),
        ("POINT(nan 5)", set()),
    ],
)
def test_a24_covers_is_true_on_the_sphere(sky: Group, region: str, expected: set[str]) -> None:
    assert sky.found(covers=region) == expected


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        ("POLYGON((9 9,12 9,12 12,9 12,9 9))", {"square"}),
        ("LINESTRING(-5 5,15 5)", {"square"}),
        ("POINT(10 0)", {"square"}),
        ("POLYGON((106 6,114 6,114 14,106 14,106 6))", set()),  # within the hole
        ("POLYGON((-20 -20,20 -20,20 20,-20 20,-20 -20))", {"square", "wrap"}),
        ("POLYGON((0 70,120 70,240 70,0 70))", {"pole"}),
        ("POINT EMPTY", set()),
    ],
)
def test_a25_intersects_is_true_on_the_sphere(sky: Group, region: str, expected: set[str]) -> None:
    assert sky.found(intersects=region) == expected


@pytest.mark.parametrize("name", ["covers", "intersects"])
@pytest.mark.parametrize(
    "region",
    ["POINT(5,5)", "POLYGON((0 0,1 0,1 1))", "CIRCULARSTRING(0 0,1 1,2 0)", "foo", "5 5", "POINT", "POINT(5 5", "{}",
     '{"type":"Point"}', '{"type":"Point","coordinates":[1]}', "[1,2]", "0101", "zz", "POINT(5 5)\0", "POINT(1e999 5)",
     "SRID=3857;POINT(5 5)", "é", "GEOMETRYCOLLECTION(" * 500],
)  # fmt: skip
def test_a26_a_bad_geometry_is_refused_in_an_array(sky: Group, name: str, region: str) -> None:
    answer = sky.ask(**{name: region})
    assert answer.status_code == 400, answer.text
    (sentence,) = answer.json()
    assert name in sentence
    assert "POINT(RA DEC)" in sentence


@pytest.mark.parametrize("name", ["covers", "intersects"])
def test_a26_a_region_from_pole_to_pole_is_answered(sky: Group, name: str) -> None:
    assert sky.ask(**{name: "POLYGON((0 -90,0 90,180 0,0 -90))"}).status_code == 200


def test_a26_an_area_of_any_shape_does_no_harm(group: Group) -> None:
    shapes = {
        "a point": polygon((5, 5), (5, 5), (5, 5)),
        "a line": polygon((0, 0), (10, 0), (0, 0)),
        "half the sky": polygon((0, 0), (90, 0), (180, 0), (270, 0)),
        "from pole to pole": polygon((0, -90), (0, 0), (0, 90), (90, 0)),
        "opposite corners": polygon((0, 0), (180, 0), (90, 45)),
        "a bow tie": polygon((0, 0), (10, 10), (10, 0), (0, 10)),
        "beyond the pole": polygon((0, 85), (0, 95), (10, 95), (10, 85)),
        "far round": polygon((7200, 0), (7201, 0), (7201, 1)),
        "huge": polygon((0, -89), (120, -89), (240, -89)),
    }
    for name, area in shapes.items():
        answer = group.site.admin.post("/frames/", json=record(instrument_id=group.name, target_name=name, area=area))
        assert answer.status_code in (201, 400), (name, answer.text)
    for parameter in ({}, {"covers": "POINT(5 5)"}, {"intersects": "POLYGON((0 -5,9 -5,9 5,0 5,0 -5))"}):
        assert group.ask(**parameter).status_code == 200


@pytest.mark.parametrize(
    ("parameter", "value", "sentence"),
    [
        ("start", "yesterday", "Enter a valid date/time."),
        ("end", "2024-13-01", "Enter a valid date/time."),
        ("DATE_OBS", "12:00", "Enter a valid date/time."),
        ("L1PUBDAT", "x", "Enter a valid date/time."),
        ("dayobs", "2024-02-30", "Enter a valid date."),
        ("RLEVEL", "high", "Enter a number."),
        ("basename", "a\0b", "Null characters are not allowed."),
        ("OBJECT", "\0", "Null characters are not allowed."),
        ("proposal_id", "\0", "Null characters are not allowed."),
        ("target_name_exact", "\0", "Null characters are not allowed."),
        ("start", "2024\0", "Null characters are not allowed."),
    ],
)
def test_a27_a_bad_value_is_answered_with_the_exact_sentence(
    group: Group, parameter: str, value: str, sentence: str
) -> None:
    answer = group.ask(**{parameter: value})
    assert (answer.status_code, answer.json()) == (400, {parameter: [sentence]})


def test_a27_several_bad_values_are_all_named(group: Group) -> None:
    answer = group.ask(start="x", RLEVEL="y", include_configuration_type="Z")
    assert set(answer.json()) == {"start", "RLEVEL", "include_configuration_type"}


def test_a28_unknown_and_empty_parameters_are_ignored(group: Group) -> None:
    group.add(target_name="one")
    ignored = {"airmass": "2", "observation_date__gte": "x", "site_id": "", "start": "", "covers": "", "public": "",
               "include_configuration_type": "", "dayobs": "", "RLEVEL": "", "limit": "", "ordering": ""}  # fmt: skip
    assert group.found(**ignored) == {"one"}
    assert group.found(site_id=["nowhere", "tst"]) == {"one"}, "of a repeated parameter the last one wins"


@pytest.mark.parametrize("text", ["%FF%FE", "%ED%A0%80", "%", "%zz", "a=b=c&&=&=x", "basename=" + "x" * 5000])
def test_a28_bytes_that_are_no_text_do_no_harm(site: Site, text: str) -> None:
    assert site.admin.get(f"/frames/?basename={text}&{text}").status_code in (200, 400)


def test_a29_filters_also_decide_on_one_frame(group: Group) -> None:
    frame = group.add(observation_date="2024-03-01T12:00:00Z", area=SKY["square"])
    for rest in ("", "headers/", "related/"):
        route = f"/frames/{frame['id']}/{rest}"
        for fits in ({"site_id": "tst"}, {"covers": "POINT(5 5)"}, {"start": "2024-03-01"}, {"nonsense": "x"}):
            assert group.site.admin.get(route, params=fits).status_code == 200, (route, fits)
        for differs in ({"site_id": "elp"}, {"covers": "POINT(55 5)"}, {"end": "2024-03-01"}, {"RLEVEL": "91"}):
            answer = group.site.admin.get(route, params=differs)
            assert (answer.status_code, answer.json()) == (404, {"detail": "No Frame matches the given query."})
        assert group.site.admin.get(route, params={"start": "x"}).status_code == 400


ORDERINGS = (
    "id basename observation_date primary_optical_element configuration_type proposal_id instrument_id target_name "
    "reduction_level exposure_time"
).split()


def test_a30_all_ten_orderings_go_both_ways(group: Group) -> None:
    for number, kind in enumerate(("BIAS", "DARK", "EXPOSE")):
        other = (number * 2 + 1) % 3
        group.add(
            basename=new_name(f"o{other}"), observation_date=f"2024-03-0{other + 1}T00:00:00Z", configuration_type=kind,
            primary_optical_element="grz"[number], proposal_id=f"P{other}", target_name=f"T{other}",
            reduction_level=other, exposure_time=other * 1.5,
        )  # fmt: skip
    for name in ORDERINGS:
        for sign in ("", "-"):
            rows = group.ask(ordering=sign + name).json()["results"]
            assert len(rows) == 3
            assert [row[name] for row in rows] == sorted((row[name] for row in rows), reverse=bool(sign))
    newest = [row["observation_date"] for row in group.ask().json()["results"]]
    assert newest == sorted(newest, reverse=True), "newest first unless told otherwise"
    for nonsense in ("PROPID", "nothing", "--id", "-", ",", "id;drop"):
        assert [row["observation_date"] for row in group.ask(ordering=nonsense).json()["results"]] == newest
    by_two = group.ask(ordering="instrument_id,-reduction_level").json()["results"]
    assert [row["reduction_level"] for row in by_two] == [2, 1, 0]


@pytest.mark.parametrize("ordering", ["", "-observation_date", "target_name", "exposure_time", "-exposure_time,id"])
def test_a30_equal_rows_keep_their_order_from_page_to_page(group: Group, ordering: str) -> None:
    for _ in range(7):
        group.add(exposure_time=None)
    seen = [
        frame["id"]
        for offset in range(0, 8, 2)
        for frame in group.ask(ordering=ordering, limit=2, offset=offset).json()["results"]
    ]
    assert len(seen) == len(set(seen)) == 7


def test_a_frame_is_public_only_after_its_date(group: Group) -> None:
    group.add(target_name="past", public_date=PAST)
    group.site.settle()
    assert group.found(group.site.anonymous) == {"past"}
