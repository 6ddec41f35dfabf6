"""One frame and the surface around it: rows A01, A02, A04-A09, A11, A12, A43-A45 of the contract."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.records import FUTURE, new_name, record, version
from tests.site import PROPOSAL, Site

MODERN = (
    "id basename observation_date observation_day proposal_id instrument_id target_name reduction_level site_id "
    "telescope_id exposure_time primary_optical_element public_date configuration_type observation_id request_id "
    "version_set url filename"
).split()
LEGACY = {
    "DATE_OBS": "observation_date",
    "DAY_OBS": "observation_day",
    "PROPID": "proposal_id",
    "INSTRUME": "instrument_id",
    "OBJECT": "target_name",
    "RLEVEL": "reduction_level",
    "SITEID": "site_id",
    "TELID": "telescope_id",
    "EXPTIME": "exposure_time",
    "FILTER": "primary_optical_element",
    "L1PUBDAT": "public_date",
    "OBSTYPE": "configuration_type",
    "BLKUID": "observation_id",
    "REQNUM": "request_id",
}


def test_a01_the_root_names_the_three_lists(site: Site) -> None:
    names = ("frames", "versions", "thumbnails")
    assert site.anonymous.get("/").json() == {name: f"{site.url}/{name}/" for name in names}


def test_a02_a_frame_without_trailing_slash_ends_at_the_frame(site: Site) -> None:
    created = site.post(record())
    answer = site.admin.get(f"/frames/{created['id']}", follow_redirects=True)
    assert answer.json()["basename"] == created["basename"]
    assert site.admin.post("/frames", json=record()).status_code == 201


def test_a04_a_frame_has_the_modern_names_with_their_types_and_date_formats(site: Site) -> None:
    sent = record(observation_id=7, request_id="0000000012", observation_date="2015-12-21T15:48:04Z")
    frame = site.admin.get(f"/frames/{site.post(sent)['id']}/").json()
    assert list(frame)[:19] == MODERN
    assert frame["observation_date"] == "2015-12-21T15:48:04Z"
    assert frame["observation_day"] == "2024-01-01"
    assert (frame["observation_id"], frame["request_id"], frame["exposure_time"]) == (7, 12, 30.0)
    assert frame["area"]["type"] == "Polygon"
    assert frame["related_frames"] == []
    assert not {"headers", "created", "modified"} & frame.keys()
    fraction = site.admin.get(f"/frames/{site.post(record(observation_date='2015-12-21T15:48:03.963'))['id']}/").json()
    assert fraction["observation_date"] == "2015-12-21T15:48:03.963000Z"
    (only,) = frame["version_set"]
    assert set(only) == {"id", "key", "md5", "extension", "url", "created"}
    assert (frame["url"], frame["filename"]) == (only["url"], frame["basename"] + ".fits.fz")


def test_a04_the_list_shows_a_frame_as_the_detail_does(site: Site) -> None:
    created = site.post(record(instrument_id="same"))
    (listed,) = site.admin.get("/frames/", params={"instrument_id": "same"}).json()["results"]
    assert listed == site.admin.get(f"/frames/{created['id']}/").json()


def test_a04_a_frame_without_area_has_no_such_key(site: Site) -> None:
    created = site.post(record(area=None))
    assert created["area"] is None
    assert "area" not in site.admin.get(f"/frames/{created['id']}/").json()


def test_a04_the_newest_version_comes_first_and_gives_url_and_filename(site: Site) -> None:
    name = new_name()
    first = site.post(record(basename=name))
    second = site.post(record(basename=name, version_set=[version(extension=".fits")]))
    frame = site.admin.get(f"/frames/{first['id']}/").json()
    assert [item["extension"] for item in frame["version_set"]] == [".fits", ".fits.fz"]
    assert frame["filename"] == f"{name}.fits"
    assert frame["version_set"] == second["version_set"], "the answer to the post tells the same, times included"
    assert frame["version_set"][1]["created"] == first["version_set"][0]["created"]


def test_a05_the_fourteen_legacy_names_equal_their_modern_twins(site: Site) -> None:
    created = site.post(record(observation_id=5, request_id=6))
    frame = site.admin.get(f"/frames/{created['id']}/").json()
    assert {old: frame[old] for old in LEGACY} == {old: frame[new] for old, new in LEGACY.items()}
    assert not LEGACY.keys() & created.keys(), "a POST's answer has none of them"


def test_a06_a_hidden_frame_is_answered_like_one_that_is_not_there(site: Site) -> None:
    hidden = site.post(record(public_date=FUTURE, proposal_id="P-OTHER"))
    site.settle()
    assert site.admin.get(f"/frames/{hidden['id']}/").status_code == 200
    for client in (site.anonymous, site.user):
        for frame in (hidden["id"], 999_999_999):
            answer = client.get(f"/frames/{frame}/")
            assert (answer.status_code, answer.json()) == (404, {"detail": "No Frame matches the given query."})


@pytest.mark.parametrize("frame", ["x", "1.5", "-1", "99999999999999999999", "%00", "%C2%B2", "1%0A"])
def test_a06_an_id_that_cannot_be_one_is_not_found(site: Site, frame: str) -> None:
    answer = site.admin.get(f"/frames/{frame}/")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})


def test_a07_the_headers_are_those_that_were_ingested_last(site: Site) -> None:
    name, headers = new_name(), {"SITEID": "tst", "RA": "10:00:00", "N": 1, "F": 1.5, "B": True, "É": "ü", "X": None}
    created = site.post(record(basename=name, headers=headers))
    route = f"/frames/{created['id']}/headers/"
    assert site.admin.get(route).json() == {"data": headers}
    site.post(record(basename=name, headers={"ONLY": 1}))
    assert site.admin.get(route).json() == {"data": {"ONLY": 1}}
    site.post(record(basename=name, headers={"AMENDED": 2}, version_set=[]))
    assert site.admin.get(route).json() == {"data": {"AMENDED": 2}}


def test_a08_related_frames_go_both_ways_and_show_only_what_the_viewer_may_open(site: Site) -> None:
    public = site.post(record())
    secret = site.post(record(public_date=FUTURE, proposal_id="P-OTHER"))
    links = [public["basename"], secret["basename"]]
    child = site.post(record(related_frame_filenames=links))
    site.settle()
    related = site.admin.get(f"/frames/{child['id']}/related/").json()
    assert [frame["id"] for frame in related] == [public["id"], secret["id"]]
    assert "PROPID" not in related[0]
    assert "area" in related[0]
    assert [frame["id"] for frame in site.admin.get(f"/frames/{secret['id']}/related/").json()] == [child["id"]]
    assert [frame["id"] for frame in site.anonymous.get(f"/frames/{child['id']}/related/").json()] == [public["id"]]
    assert site.anonymous.get(f"/frames/{child['id']}/").json()["related_frames"] == [public["id"]]
    assert site.anonymous.get(f"/frames/{secret['id']}/related/").status_code == 404


@pytest.mark.parametrize("value", ["false", "False", "FALSE"])
def test_a09_include_related_frames_false_leaves_the_ids_out(site: Site, value: str) -> None:
    created = site.post(record(instrument_id="rel"))
    parameters = {"include_related_frames": value, "instrument_id": "rel"}
    assert "related_frames" not in site.admin.get(f"/frames/{created['id']}/", params=parameters).json()
    listed = site.admin.get("/frames/", params=parameters).json()["results"]
    assert listed
    assert not any("related_frames" in frame for frame in listed)
    assert "related_frames" in site.admin.get(f"/frames/{created['id']}/?include_related_frames=0").json()


def test_a11_versions_are_for_staff(site: Site) -> None:
    created = site.post(record())
    (stored,) = created["version_set"]
    listed = site.admin.get("/versions/").json()
    assert listed["results"][0] == stored
    assert set(listed) == {"count", "next", "previous", "results", "count_estimated"}
    assert site.admin.get(f"/versions/{stored['id']}/").json() == stored
    for route in ("/versions/", f"/versions/{stored['id']}/"):
        assert site.user.get(route).status_code == 403
        assert site.user.get(route).json() == {"detail": "You do not have permission to perform this action."}
        assert site.anonymous.get(route).status_code == 401
        assert site.anonymous.get(route).json() == {"detail": "Authentication credentials were not provided."}
    assert site.admin.get("/versions/999999999/").status_code == 404


def test_a12_versions_by_md5_are_found_exactly_and_counted_exactly(site: Site) -> None:
    item = version(md5="0123456789abcdef0123456789abcdef")
    site.post(record(version_set=[item]))
    found = site.admin.get("/versions/", params={"md5": item["md5"]}).json()
    assert (found["count"], found["count_estimated"]) == (1, False)
    assert found["results"][0]["key"] == item["key"]
    for other in (item["md5"].upper(), item["md5"][:-1], "%", "x\0y"):
        assert site.admin.get("/versions/", params={"md5": other}).json()["count"] == 0


def test_a12_the_pages_of_versions_follow_each_other(site: Site) -> None:
    for _ in range(3):
        site.post(record())
    url, seen = "/versions/?limit=2", []
    while url:
        page = site.admin.get(url).json()
        seen += [one["id"] for one in page["results"]]
        url = page["next"]
    assert len(seen) == len(set(seen)) == page["count"]
    assert seen == sorted(seen, reverse=True)


def test_a43_health_and_robots_have_their_exact_bodies(site: Site) -> None:
    assert site.anonymous.get("/health/").json() == "ok"
    robots = site.anonymous.get("/robots.txt")
    assert robots.headers["content-type"].startswith("text/plain")
    assert robots.text == "User-agent: *\nDisallow: /\n"


def test_a44_any_origin_may_read_and_ask(site: Site) -> None:
    origin = {"Origin": "https://elsewhere.example"}
    preflight = site.anonymous.options(
        "/frames/", headers={**origin, "Access-Control-Request-Method": "PATCH",
                             "Access-Control-Request-Headers": "authorization, content-type"}
    )  # fmt: skip
    assert preflight.status_code in (200, 204)
    assert preflight.headers["access-control-allow-origin"] == "*"
    methods = {one.strip() for one in preflight.headers["access-control-allow-methods"].split(",")}
    assert methods >= {"DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT"}
    allowed = preflight.headers["access-control-allow-headers"].lower()
    for name in "accept authorization content-type user-agent x-csrftoken x-requested-with".split():
        assert name in allowed
    assert preflight.headers["access-control-max-age"] == "86400"
    assert "access-control-allow-credentials" not in preflight.headers
    for route, token in (("/frames/", ""), ("/frames/0/", ""), ("/nothing/", ""), ("/profile/", "Token bad")):
        answer = site.anonymous.get(route, headers={**origin, **({"Authorization": token} if token else {})})
        assert answer.headers["access-control-allow-origin"] == "*", f"{route}: errors too"


@pytest.mark.parametrize("route", ["/nothing/", "/frames/1/nothing/", "/thumbnail/"])
def test_a45_an_unknown_route_is_not_found(site: Site, route: str) -> None:
    answer = site.anonymous.get(route)
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})


@pytest.mark.parametrize(
    ("method", "route", "allowed"),
    [("PUT", "/frames/", "GET, POST"), ("POST", "/frames/1/headers/", "GET"), ("DELETE", "/versions/", "GET"),
     ("POST", "/profile/", "GET"), ("POST", "/", "GET"), ("PATCH", "/health/", "GET")],
)  # fmt: skip
def test_a45_a_wrong_method_is_refused_with_those_that_are_right(
    site: Site, method: str, route: str, allowed: str
) -> None:
    answer = site.admin.request(method, route)
    assert (answer.status_code, answer.json()) == (405, {"detail": f'Method "{method}" not allowed.'})
    offered = {one.strip() for one in answer.headers["allow"].split(",")}
    assert offered >= {one.strip() for one in allowed.split(",")}
    assert method not in offered


def test_a45_an_accept_header_without_json_is_not_acceptable(site: Site) -> None:
    for route in ("/", "/frames/", "/versions/", "/profile/"):
        answer = site.admin.get(route, headers={"Accept": "text/csv"})
        assert answer.status_code == 406
        assert answer.json() == {"detail": "Could not satisfy the request Accept header."}
    for accept in ("*/*", "application/json", "text/html, */*;q=0.1", "application/*", ""):
        assert site.admin.get("/frames/", headers={"Accept": accept}).status_code == 200
    assert site.admin.get("/frames/?format=json", headers={"Accept": "text/csv"}).status_code == 200
    unknown = site.admin.get("/frames/?format=xml")
    assert (unknown.status_code, unknown.json()) == (404, {"detail": "Not found."})


def test_a45_a_body_of_another_type_is_unsupported(site: Site) -> None:
    answer = site.admin.post("/frames/", content=b"a,b", headers={"Content-Type": "text/csv"})
    assert answer.status_code == 415
    assert answer.json() == {"detail": 'Unsupported media type "text/csv" in request.'}


def test_a45_a_form_is_read_like_an_object_of_texts(site: Site) -> None:
    for sent in ({"data": {"basename": "x"}}, {"data": {"basename": "x"}, "files": {"f": b""}}):
        answer = site.admin.post("/frames/", **sent)
        assert answer.status_code == 400
        assert "basename" not in answer.json()
        assert answer.json()["area"] == ["This field is required."]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"{'a': 1}", b'{"basename": "\xff"}', b'{"headers": {"a": "\xff"}}', b'{"basename": "\\ud800"}',
     b'{"headers":' + b"[" * 20_000, b'{"a": NaN}', b"\x00", b'{"basename": "a"} x'],
)  # fmt: skip
def test_a45_malformed_json_says_so(site: Site, body: bytes) -> None:
    answer = site.admin.post("/frames/", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert re.match("JSON parse error - .+", answer.json()["detail"])


def test_a45_a_body_beyond_all_measure_is_refused(site: Site) -> None:
    answer = site.admin.post("/frames/", json=record(headers={"A": "x" * (33 << 20)}))
    assert answer.status_code == 413
    assert "detail" in answer.json()


def test_a45_every_answer_tells_caches_and_browsers_what_it_depends_on(site: Site) -> None:
    for answer in (site.admin.get("/frames/"), site.anonymous.get("/nothing/"), site.anonymous.post("/frames/")):
        varies = {one.strip().lower() for one in answer.headers["vary"].split(",")}
        assert varies >= {"accept", "authorization", "origin"}
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_links_follow_the_host_that_the_client_used(site: Site) -> None:
    assert httpx.get(f"{site.url}/", headers={"Host": "archive.example:81"}).json()["frames"] == (
        "http://archive.example:81/frames/"
    )


def test_the_own_proposal_is_seen_before_it_is_public(site: Site) -> None:
    mine = site.post(record(public_date=FUTURE, proposal_id=PROPOSAL))
    site.settle()
    assert site.user.get(f"/frames/{mine['id']}/").status_code == 200
    assert site.anonymous.get(f"/frames/{mine['id']}/").status_code == 404
