"""What holds for every route: CORS, HEAD, OPTIONS, format suffixes (rows A02, A44, A45)."""

from __future__ import annotations

import pytest

from tests.records import fits_bytes, new_name, record
from tests.site import Site

ORIGIN = {"Origin": "https://elsewhere.example"}
ASKED = {**ORIGIN, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "x-anything"}


@pytest.mark.parametrize("route", ["/frames/", "/frames/1/", "/nothing/", "/api/v1/transfers"])
def test_a44_a_preflight_is_answered_alike_everywhere(site: Site, route: str) -> None:
    answer = site.anonymous.options(route, headers=ASKED)
    assert (answer.status_code, answer.content) == (200, b"")
    allowed = {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}
    assert allowed == {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "DELETE, GET, OPTIONS, PATCH, POST, PUT",
        "access-control-allow-headers": (
            "accept, authorization, content-type, user-agent, x-csrftoken, x-requested-with"
        ),
        "access-control-max-age": "86400",
    }


@pytest.mark.parametrize("cookie", [{}, {"Cookie": "sessionid=x"}])
def test_a44_answers_to_other_origins_are_open_and_never_with_credentials(site: Site, cookie: dict[str, str]) -> None:
    answer = site.anonymous.get("/frames/", headers={**ORIGIN, **cookie})
    allowed = {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}
    assert allowed == {"access-control-allow-origin": "*"}
    assert "access-control-allow-origin" not in site.anonymous.get("/frames/").headers


@pytest.mark.parametrize(
    "route", ["/", "/frames/", "/frames/0/", "/profile/", "/health/", "/openapi/", "/redoc/", "/api/v1/transfers",
              "/healthz", "/metrics", "/nothing/"],
)  # fmt: skip
def test_a45_head_is_get_without_the_body(site: Site, route: str) -> None:
    head, got = site.user.head(route), site.user.get(route)
    assert head.status_code == got.status_code
    assert head.content == b""
    for name in ("content-type", "content-length", "vary"):
        assert head.headers.get(name) == got.headers.get(name), name


def test_a45_head_of_a_download_has_its_size_and_not_its_bytes(site: Site) -> None:
    frame = site.ingest(fits_bytes(), f"{new_name()}.fits")
    head, got = site.anonymous.head(frame["url"]), site.anonymous.get(frame["url"])
    assert head.status_code == 200
    assert head.content == b""
    assert int(head.headers["content-length"]) == len(got.content) > 0


@pytest.mark.parametrize(
    ("route", "name", "allow"),
    [("/frames/", "Frames", {"GET", "HEAD", "OPTIONS", "POST"}), ("/profile/", "Profile", {"GET", "HEAD", "OPTIONS"}),
     ("/api-token-auth/", "Api token auth", {"OPTIONS", "POST"})],
)  # fmt: skip
def test_a45_options_says_what_may_be_done(site: Site, route: str, name: str, allow: set[str]) -> None:
    answer = site.anonymous.options(route)
    assert answer.status_code == 200
    assert {one.strip() for one in answer.headers["allow"].split(",")} >= allow
    told = answer.json()
    assert told["name"] == name
    assert told["renders"] == ["application/json"]
    assert set(told["parses"]) == {
        "application/json", "application/x-www-form-urlencoded", "multipart/form-data"
    }  # fmt: skip
    unknown = site.anonymous.options("/nothing/")
    assert (unknown.status_code, unknown.json()) == (404, {"detail": "Not found."})


def test_a45_a_refused_method_names_head_and_options_too(site: Site) -> None:
    allow = site.admin.request("DELETE", "/frames/").headers["allow"]
    assert {one.strip() for one in allow.split(",")} == {"GET", "HEAD", "OPTIONS", "POST"}
    own = site.admin.request("DELETE", "/api/v1/transfers")
    assert own.status_code == 405
    assert {one.strip() for one in own.headers["allow"].split(",")} == {"GET", "HEAD", "OPTIONS"}


def test_a45_a_json_suffix_is_the_route_in_json(site: Site) -> None:
    frame = site.post(record())
    site.settle()
    for plain, suffixed in (("/frames/", "/frames.json"), (f"/frames/{frame['id']}/", f"/frames/{frame['id']}.json"),
                            (f"/frames/{frame['id']}/headers/", f"/frames/{frame['id']}/headers.json")):  # fmt: skip
        answer = site.admin.get(suffixed, headers={"Accept": "text/csv"})
        assert answer.status_code == 200
        assert answer.json() == site.admin.get(plain).json() or suffixed == "/frames.json"
    assert site.admin.get("/frames.json?limit=1").json()["count"] >= 1
    for unknown in ("/frames.xml", "/profile.xml", "/frames/1.xml"):
        assert site.admin.get(unknown).status_code == 404


def test_a02_a_post_without_the_slash_is_served_and_not_redirected(site: Site) -> None:
    answer = site.admin.post("/frames", json=record(), follow_redirects=False)
    assert answer.status_code == 201
    assert site.admin.get(f"/frames/{answer.json()['id']}", follow_redirects=False).status_code == 200
