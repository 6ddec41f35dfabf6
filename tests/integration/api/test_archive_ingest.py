"""`POST /frames/`, as the OCS ingester uses it: rows C01-C07 and C09-C14 of the contract."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.records import SQUARE, new_name, record, version
from tests.site import Site, served

KEYS = (
    "id basename area related_frames version_set filename url reduction_level observation_day observation_date "
    "proposal_id instrument_id target_name site_id telescope_id exposure_time primary_optical_element public_date "
    "configuration_type observation_id request_id"
).split()


def refused(site: Site, body: Any) -> Any:
    """The errors of a body that must be refused, and that nothing was written."""
    events = site.events()
    answer = site.admin.post("/frames/", json=body)
    assert answer.status_code == 400, answer.text
    assert site.events() == events
    return answer.json()


def test_c01_a_new_frame_is_answered_with_its_record(site: Site) -> None:
    body = record(observation_id=1, request_id=2)
    created = site.post(body)
    assert list(created) == KEYS
    for name in KEYS[7:]:
        if name not in ("observation_date", "observation_day"):
            assert created[name] == body[name]
    assert created["observation_date"] == "2024-01-01T03:04:05.678000Z"
    (stored,), (sent,) = created["version_set"], body["version_set"]
    assert {name: stored[name] for name in sent} == sent
    assert created["filename"] == body["basename"] + ".fits.fz"
    assert site.admin.get(f"/frames/{created['id']}/").json()["basename"] == body["basename"]


def test_c02_the_same_basename_again_updates_appends_and_replaces(site: Site) -> None:
    first = site.post(record(target_name="old", related_frame_filenames=["x1"], exposure_time=5.0, observation_id=9))
    again = record(basename=first["basename"], target_name="new", headers={"N": 1})
    for omitted in ("exposure_time", "observation_id", "site_id"):
        del again[omitted]
    second = site.post(again)
    assert second["id"] == first["id"]
    assert (second["target_name"], second["exposure_time"], second["observation_id"]) == ("new", 5.0, 9)
    assert second["site_id"] == "tst", "what was left out keeps its value"
    assert [one["id"] for one in second["version_set"]][1] == first["version_set"][0]["id"]
    frame = site.admin.get(f"/frames/{first['id']}/").json()
    assert (frame["target_name"], len(frame["version_set"])) == ("new", 2)
    assert site.admin.get(f"/frames/{first['id']}/headers/").json() == {"data": {"N": 1}}
    assert site.admin.get("/frames/", params={"basename_exact": first["basename"]}).json()["count"] == 1


def test_c03_md5_and_key_are_unique_across_all_frames(site: Site) -> None:
    known = version()
    first = site.post(record(version_set=[known]))
    key, md5 = "version with this key already exists.", "version with this md5 already exists."
    fresh = version()
    cases = [
        ({**known}, {"key": [key], "md5": [md5]}),
        ({**known, "key": fresh["key"]}, {"md5": [md5]}),
        ({**known, "md5": fresh["md5"]}, {"key": [key]}),
    ]
    for item, expected in cases:
        for name in (first["basename"], new_name()):
            assert refused(site, record(basename=name, version_set=[item])) == {"version_set": [expected]}
    several = [version(), known]
    assert refused(site, record(version_set=several)) == {"version_set": [{}, {"key": [key], "md5": [md5]}]}
    assert site.admin.get("/versions/", params={"md5": several[0]["md5"]}).json()["count"] == 0, "all or none"
    assert len(site.admin.get(f"/frames/{first['id']}/").json()["version_set"]) == 1


def test_c03_md5_is_compared_as_it_was_sent(site: Site) -> None:
    item = version(md5="ABCDEF0123456789abcdef0123456789")
    site.post(record(version_set=[item]))
    site.post(record(version_set=[version(md5=item["md5"].lower())]))


def test_c03_one_body_with_the_same_md5_twice_is_refused(site: Site) -> None:
    item = version()
    errors = refused(site, record(version_set=[item, version(md5=item["md5"])]))
    assert errors == {"version_set": [{}, {"md5": ["version with this md5 already exists."]}]}


def test_several_versions_arrive_in_one_body(site: Site) -> None:
    created = site.post(record(version_set=[version(), version(extension=".fits")]))
    assert [one["extension"] for one in created["version_set"]] == [".fits", ".fits.fz"]
    frame = site.admin.get(f"/frames/{created['id']}/").json()
    assert frame["version_set"] == created["version_set"]


def test_c04_a_body_without_versions_changes_the_record_alone(site: Site) -> None:
    first = site.post(record())
    again = site.post(record(basename=first["basename"], version_set=[], target_name="other", headers={"X": 1}))
    assert again["version_set"] == first["version_set"]
    assert site.admin.get(f"/frames/{first['id']}/").json()["target_name"] == "other"
    assert site.admin.get(f"/frames/{first['id']}/headers/").json() == {"data": {"X": 1}}


def test_c05_related_names_are_linked_both_ways_and_only_grow(site: Site) -> None:
    early, late, own = site.post(record()), new_name(), new_name()
    names = [early["basename"], late, own, early["basename"]]
    child = site.post(record(basename=own, related_frame_filenames=names))

    def related(frame: int) -> list[int]:
        ids: list[int] = site.admin.get(f"/frames/{frame}/").json()["related_frames"]
        return ids

    assert related(child["id"]) == [early["id"]], "itself and what isn't there are skipped"
    assert related(early["id"]) == [child["id"]]
    arrived = site.post(record(basename=late))
    assert related(child["id"]) == [early["id"], arrived["id"]]
    assert related(arrived["id"]) == [child["id"]]
    third = site.post(record())
    site.post(record(basename=own, related_frame_filenames=[third["basename"]]))
    assert related(child["id"]) == [early["id"], arrived["id"], third["id"]]
    site.post(record(basename=own, related_frame_filenames=[]))
    assert len(related(child["id"])) == 3


def test_c06_a_name_that_is_only_mentioned_is_nowhere_until_its_file_arrives(site: Site) -> None:
    name = new_name()
    site.post(record(related_frame_filenames=[name]))
    assert site.admin.get("/frames/", params={"basename_exact": name}).json()["count"] == 0
    arrived = site.post(record(basename=name, target_name="arrived"))
    assert site.admin.get(f"/frames/{arrived['id']}/").json()["target_name"] == "arrived"


REQUIRED = "This field is required."
NOT_NULL = "This field may not be null."
NOT_BLANK = "This field may not be blank."
DAY = "Date has wrong format. Use one of these formats instead: YYYY-MM-DD, YYYYMMDD."
TIME = "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
NO_NUL = "Null characters are not allowed."
MISSING = object()
BAD = [
    *((name, MISSING, [REQUIRED]) for name in
      "basename area headers related_frame_filenames version_set observation_day configuration_type".split()),
    *((name, None, [NOT_NULL]) for name in
      "basename headers related_frame_filenames version_set observation_day configuration_type proposal_id site_id "
      "target_name instrument_id telescope_id primary_optical_element reduction_level".split()),
    ("basename", "", [NOT_BLANK]),
    ("basename", "  ", [NOT_BLANK]),
    ("basename", "x" * 1001, ["Ensure this field has no more than 1000 characters."]),
    ("basename", "𝔵" * 999, ["Ensure this field has no more than 1000 characters."]),
    ("basename", "a\0b", [NO_NUL]),
    ("basename", True, ["Not a valid string."]),
    ("basename", {}, ["Not a valid string."]),
    ("headers", "x", None),
    ("headers", {"A": "x\0"}, [NO_NUL]),
    ("related_frame_filenames", "x", ['Expected a list of items but got type "str".']),
    ("related_frame_filenames", {}, ['Expected a list of items but got type "dict".']),
    ("related_frame_filenames", ["", "a"], {"0": [NOT_BLANK]}),
    ("related_frame_filenames", ["a", None, 1.5, []], None),
    ("related_frame_filenames", ["𝔵" * 999], None),
    ("version_set", {}, None),
    ("version_set", "x", None),
    ("version_set", [None], None),
    ("version_set", ["x"], None),
    ("version_set", [{}], [{"key": [REQUIRED], "md5": [REQUIRED], "extension": [REQUIRED]}]),
    ("version_set", [{"key": "", "md5": None, "extension": ""}],
     [{"key": [NOT_BLANK], "md5": [NOT_NULL], "extension": [NOT_BLANK]}]),
    ("version_set", [version(md5="x" * 33)], [{"md5": ["Ensure this field has no more than 32 characters."]}]),
    ("version_set", [version(extension="." + "x" * 20)],
     [{"extension": ["Ensure this field has no more than 20 characters."]}]),
    ("version_set", [version(key="k\0")], [{"key": [NO_NUL]}]),
    ("version_set", [version(key="𝔵" * 1024)], None),
    ("observation_day", "2024-02-30", [DAY]),
    ("observation_day", "20241", [DAY]),
    ("observation_day", "", [DAY]),
    ("observation_day", 20240101, [DAY]),
    ("observation_day", "2024-01-01T00:00:00", [DAY]),
    ("configuration_type", "FOO", ['"FOO" is not a valid choice.']),
    ("configuration_type", "", ['"" is not a valid choice.']),
    ("configuration_type", 3, ['"3" is not a valid choice.']),
    *((name, value, [TIME]) for name in ("observation_date", "public_date")
      for value in ("", "x", 5, "2024-13-01T00:00:00", "2024-01-01T25:00:00", "0001-01-01T00:00:00+14:00")),
    ("proposal_id", "x" * 201, ["Ensure this field has no more than 200 characters."]),
    ("instrument_id", "x" * 65, ["Ensure this field has no more than 64 characters."]),
    ("target_name", "x" * 201, ["Ensure this field has no more than 200 characters."]),
    ("primary_optical_element", "x" * 101, ["Ensure this field has no more than 100 characters."]),
    ("site_id", "x" * 33, None),
    ("target_name", False, ["Not a valid string."]),
    ("target_name", "a\0", [NO_NUL]),
    ("target_name", [], ["Not a valid string."]),
    ("reduction_level", "x", ["A valid integer is required."]),
    ("reduction_level", True, ["A valid integer is required."]),
    ("reduction_level", 1.5, ["A valid integer is required."]),
    ("reduction_level", 32768, ["Ensure this value is less than or equal to 32767."]),
    ("reduction_level", -32769, ["Ensure this value is greater than or equal to -32768."]),
    ("exposure_time", "x", ["A valid number is required."]),
    ("exposure_time", "NaN", ["A valid number is required."]),
    ("exposure_time", "inf", ["A valid number is required."]),
    ("exposure_time", [], ["A valid number is required."]),
    *((name, -1, ["Ensure this value is greater than or equal to 0."]) for name in ("observation_id", "request_id")),
    *((name, 2**31, ["Ensure this value is less than or equal to 2147483647."])
      for name in ("observation_id", "request_id")),
    ("request_id", "UNSPECIFIED", ["A valid integer is required."]),
    ("request_id", "9" * 5000, ["A valid integer is required."]),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value", "expected"), BAD)
def test_c07_a_bad_field_is_refused_with_its_sentence(site: Site, field: str, value: Any, expected: Any) -> None:
    body = record()
    if value is MISSING:
        del body[field]
    else:
        body[field] = value
    errors = refused(site, body)
    assert list(errors) == [field]
    if expected is not None:
        assert errors[field] == expected


def test_c07_all_bad_fields_are_named_at_once(site: Site) -> None:
    assert set(refused(site, {"reduction_level": "x"})) == {
        "basename", "area", "headers", "related_frame_filenames", "version_set", "observation_day",
        "configuration_type", "reduction_level",
    }  # fmt: skip


GOOD: list[tuple[str, Any, Any]] = [
    ("observation_day", "20240102", "2024-01-02"),
    ("observation_date", "2024-01-01T03:04:05", "2024-01-01T03:04:05Z"),
    ("observation_date", "2024-01-01T03:04:05.123456789", "2024-01-01T03:04:05.123456Z"),
    ("observation_date", "2024-01-01T03:04:05+02:00", "2024-01-01T01:04:05Z"),
    ("observation_date", "2024-01-01", "2024-01-01T00:00:00Z"),
    ("observation_date", None, None),
    ("public_date", None, None),
    ("proposal_id", " P-1 ", "P-1"),
    ("proposal_id", "", ""),
    ("target_name", 253, "253"),
    ("target_name", "α Cen 😀", "α Cen 😀"),
    ("site_id", "longer-site", "longer-site"),
    ("telescope_id", "0m45a-b", "0m45a-b"),
    ("reduction_level", "91", 91),
    ("reduction_level", -1, -1),
    ("exposure_time", -3, -3.0),
    ("exposure_time", "2.5", 2.5),
    ("exposure_time", None, None),
    ("observation_id", "0000296263", 296263),
    ("request_id", 2147483647, 2147483647),
    ("basename", "x" * 992 + secrets.token_hex(4), ...),
]


@pytest.mark.parametrize(("field", "value", "expected"), GOOD)
def test_c07_a_good_field_is_stored_as_it_is_meant(site: Site, field: str, value: Any, expected: Any) -> None:
    created = site.post(record(**{field: value}))
    expected = value if expected is ... else expected
    assert created[field] == expected
    if field != "observation_date" or value:
        assert site.admin.get(f"/frames/{created['id']}/").json()[field] == expected
    assert not site.failures()


def test_c07_unknown_keys_and_legacy_names_are_ignored(site: Site) -> None:
    body = record(frame_basename="x", size="small", SITEID="old", whatever={"a": [1]})
    del body["site_id"]
    assert site.post(body)["site_id"] == ""


def test_c07_long_keys_of_other_stores_are_accepted(site: Site) -> None:
    key = secrets.token_urlsafe(512)[:500]
    assert site.post(record(version_set=[version(key=key)]))["version_set"][0]["key"] == key


def test_c09_the_area_is_echoed_as_it_was_sent(site: Site) -> None:
    area = {"type": "Polygon", "coordinates": [[[359.5, 85.0], [360.5, 85.0], [360.5, 95.0], [359.5, 85.0]]]}
    created = site.post(record(area=area))
    assert created["area"] == area
    stored = site.admin.get(f"/frames/{created['id']}/").json()["area"]["coordinates"][0]
    assert all(-180 <= ra <= 180 and -90 <= dec <= 90 for ra, dec in stored), "later it is normal"


@pytest.mark.parametrize(
    "area",
    ["POLYGON((0 0,1 0,1 1,0 0))", {}, [], 5, {"type": "Point", "coordinates": [1, 2]},
     {"type": "MultiPolygon", "coordinates": [SQUARE]}, {"type": "Polygon"}, {"type": "Polygon", "coordinates": []},
     {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1]]]},
     {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 2]]]},
     {"type": "Polygon", "coordinates": [[[0, 0], [1, "x"], [1, 1], [0, 0]]]},
     {"type": "Polygon", "coordinates": [[[0, 0], [1], [1, 1], [0, 0]]]},
     {"type": "Polygon", "coordinates": [[[0, 0], [1e300, 0], [1, 1], [0, 0]]]},
     {"type": "Polygon", "coordinates": [[None, None, None, None]]}],
)  # fmt: skip
def test_c09_what_is_no_polygon_is_refused(site: Site, area: Any) -> None:
    errors = refused(site, record(area=area))
    assert errors["area"][0].startswith("Invalid polygon")


@pytest.mark.parametrize("extension", [".txt", ".cat", ".png", ".jpg", ".weird/../x", ".é", "fits"])
def test_c10_an_unknown_extension_breaks_no_list(site: Site, extension: str) -> None:
    name = secrets.token_hex(6)
    answer = site.admin.post("/frames/", json=record(instrument_id=name, version_set=[version(extension=extension)]))
    assert answer.status_code in (201, 400)
    page = site.admin.get("/frames/", params={"instrument_id": name})
    assert page.status_code == 200
    if answer.status_code == 201:
        frame = site.admin.get(f"/frames/{answer.json()['id']}/").json()
        assert frame["filename"].endswith(extension)
        assert site.anonymous.get(frame["url"]).status_code in (400, 404)
    assert not site.failures()


def test_c11_a_failed_post_leaves_nothing(site: Site) -> None:
    known, fresh, name = version(), version(), new_name()
    site.post(record(version_set=[known]))
    refused(site, record(basename=name, version_set=[fresh, known], related_frame_filenames=["never-seen"]))
    assert site.admin.get("/frames/", params={"basename_exact": name}).json()["count"] == 0
    assert site.admin.get("/versions/", params={"md5": fresh["md5"]}).json()["count"] == 0
    site.post(record(basename=name, version_set=[fresh]))


def test_c12_of_simultaneous_posts_of_one_md5_exactly_one_wins(site: Site) -> None:
    with ThreadPoolExecutor(8) as threads:
        for names in ([new_name() for _ in range(8)], [new_name()] * 8):
            item = version()
            bodies = [record(basename=name, version_set=[{**item, "key": secrets.token_hex(8)}]) for name in names]
            answers = list(threads.map(lambda body: site.admin.post("/frames/", json=body), bodies))
            assert sorted(answer.status_code for answer in answers) == [201] + [400] * 7
            errors = {answer.text for answer in answers if answer.status_code == 400}
            assert errors == {'{"version_set":[{"md5":["version with this md5 already exists."]}]}'}
            assert site.admin.get("/versions/", params={"md5": item["md5"]}).json()["count"] == 1


def test_c12_simultaneous_versions_of_one_frame_are_all_kept(site: Site) -> None:
    name = new_name()
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: site.admin.post("/frames/", json=record(basename=name)), range(6)))
    assert [answer.status_code for answer in answers] == [201] * 6
    (frame,) = {answer.json()["id"] for answer in answers}
    assert len(site.admin.get(f"/frames/{frame}/").json()["version_set"]) == 6


def test_c13_a_repetition_after_a_lost_reply_changes_nothing(site: Site) -> None:
    body = record(related_frame_filenames=[])
    created = site.post(body)
    before = site.admin.get(f"/frames/{created['id']}/").json()
    refused(site, body)
    assert site.admin.get(f"/frames/{created['id']}/").json() == before
    assert site.admin.get("/versions/", params={"md5": body["version_set"][0]["md5"]}).json()["count"] == 1


@pytest.mark.parametrize("body", ["[]", "5", '"text"', "null", "[1,2]", "true"])
def test_c14_a_body_that_is_no_object_is_refused(site: Site, body: str) -> None:
    answer = site.admin.post("/frames/", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json() == {"non_field_errors": ["Invalid data. Expected a dictionary."]}


def test_c14_headers_nested_beyond_all_measure_do_no_harm(site: Site) -> None:
    depth = 3000
    text = '{"headers": ' + '{"a":' * depth + "1" + "}" * depth + "}"
    answer = site.admin.post("/frames/", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


def test_one_s_own_write_is_read_at_once(site: Site) -> None:
    for _ in range(50):
        created = site.post(record())
        assert site.admin.get(f"/frames/{created['id']}/").status_code == 200
        assert site.admin.get("/versions/", params={"md5": created["version_set"][0]["md5"]}).json()["count"] == 1


def test_a_write_through_one_process_is_read_at_once_through_another(site: Site) -> None:
    with served(site.core.settings, site.core.conninfo) as url:
        other = site.client(site.admin_token, url=url)
        for number in range(50):
            answer = site.admin.post("/frames/", json=record())
            route = f"/frames/{answer.json()['id']}/" + ("", "headers/", "related/")[number % 3]
            assert other.get(route).status_code == 200
        position = {"starferry-position": answer.headers["starferry-position"]}
        again = site.admin.post("/frames/", json=record(basename=answer.json()["basename"], target_name="changed"))
        position["starferry-position"] = again.headers["starferry-position"]
        assert other.get(f"/frames/{again.json()['id']}/", headers=position).json()["target_name"] == "changed"
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as anonymous:
            odd = [(b"starferry-position", "²".encode("latin-1"))]
            assert anonymous.get("/frames/?limit=1", headers=odd).status_code == 200
