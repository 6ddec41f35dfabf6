"""The operator's console: staff look at frames, users, tokens and the service; superusers change them (row A46)."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Any

import httpx
import pytest

from api.web.console.router import CONSOLE
from application.commands.accounts import hash_token
from tests.integration.api.browsing import PASSWORD, browser, hidden, links, values
from tests.records import FUTURE, fits_bytes, new_name, record, version
from tests.site import Site

PICTURE = b"\xff\xd8\xff\xe0 not really a picture"


@pytest.fixture(scope="module")
def boss(site: Site) -> httpx.Client:
    return browser(site, "boss", superuser=True)


@pytest.fixture(scope="module")
def looker(site: Site) -> httpx.Client:
    return browser(site, "looker", staff=True)


@pytest.fixture(scope="module")
def outsider(site: Site) -> httpx.Client:
    return browser(site, "outsider")


@pytest.fixture(scope="module")
def frame(site: Site) -> dict[str, Any]:
    """A frame with a file, a thumbnail whose picture is in the store, and a related frame."""
    other = site.post(record())
    made = site.ingest(fits_bytes(OBJECT="m31"), f"{new_name()}.fits", calibrated_from=other["basename"])
    name, key = f"{made['basename']}-small", hashlib.md5(PICTURE).hexdigest()
    file = site.core.settings.data / "files" / "tst/fa01/20240101/thumbnails" / f"{name}.jpg"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(PICTURE)
    body = record(basename=name, version_set=[version(key=key, md5=key, extension=".jpg")])
    body |= {"frame_basename": made["basename"], "size": "small"}
    answer = site.admin.post("/thumbnails/", json=body)
    assert answer.status_code == 201, answer.text
    site.settle()
    return made


def page(client: httpx.Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, f"{path}: {answer.status_code} {answer.text[:500]}"
    assert answer.headers["content-type"].startswith("text/html")
    return answer.text


def send(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """Send a form that the console's page gave a token for."""
    token = hidden(client.get("/admin/").text)["csrfmiddlewaretoken"]
    return client.post(path, data={"csrfmiddlewaretoken": token, **fields})


def edit(client: httpx.Client, frame_id: int, **changes: str) -> httpx.Response:
    """Open a frame's page, type into its form, send it."""
    path = f"/admin/frames/{frame_id}/"
    return client.post(path + "edit", data={**values(page(client, path)), **changes})


def routes() -> dict[str, set[str]]:
    return {route.path: set(route.methods) - {"OPTIONS"} for route in CONSOLE.routes}  # type: ignore[attr-defined]


def pattern(route: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{[^}]*\}", "[^/]+", route).rstrip("/") + "/?")


def test_a46_every_page_is_reached_by_links_and_keeps_to_itself(
    site: Site, boss: httpx.Client, frame: dict[str, Any]
) -> None:
    waiting, seen = {"/admin/", f"/admin/frames/{frame['id']}/"}, set[str]()
    while waiting and len(seen) < 150:
        path = waiting.pop()
        seen.add(path)
        answer = boss.get(path)
        assert answer.status_code == 200 or path.startswith("/admin/events/"), path
        assert answer.headers["content-security-policy"] == "default-src 'self'; style-src 'self'"
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=|javascript:", answer.text)
        targets = {httpx.URL(path).join(target).raw_path.decode() for target in links(answer.text)}
        waiting |= {target for target in targets if target.startswith("/admin/") and target not in seen}
    pages = {route for route, methods in routes().items() if "GET" in methods and "thumbnail" not in route}
    visited = {path.split("?")[0] for path in seen}
    assert not [route for route in pages if not any(pattern(route).fullmatch(path) for path in visited)]


def test_a46_a_frame_is_found_and_shown_with_all_that_belongs_to_it(
    site: Site, boss: httpx.Client, frame: dict[str, Any]
) -> None:
    found = page(boss, f"/admin/frames/?basename={frame['basename'][:-4]}")
    assert f"/admin/frames/{frame['id']}/" in links(found)
    assert frame["basename"] not in page(boss, "/admin/frames/?basename=nothing-like-it")
    shown = page(boss, f"/admin/frames/{frame['id']}/")
    newest = frame["version_set"][0]
    for text in (frame["basename"], newest["md5"], newest["key"], "thumbnails/", "OBJECT", "frame.file_processed",
                 "frame.thumbnail_added", frame["basename"] + "-small.jpg"):  # fmt: skip
        assert text in shown, text
    url = next(target for target in links(shown) if target.startswith(f"{site.url}/files/{newest['id']}/"))
    assert site.anonymous.get(url).status_code == 200
    image = re.search(r'<img src="([^"]*)"', shown)
    assert image
    picture = boss.get(image[1])
    assert (picture.status_code, picture.content) == (200, PICTURE)
    assert picture.headers["content-type"] == "image/jpeg"
    bad = page(boss, "/admin/frames/?start=yesterday", status=400)
    assert "Enter a valid date/time." in bad
    assert 'value="yesterday"' in bad


def test_a46_pages_of_frames_follow_each_other(site: Site, boss: httpx.Client) -> None:
    for _ in range(60):
        site.post(record(site_id="pgs"))
    site.settle()
    seen: list[str] = []
    path = "/admin/frames/?site_id=pgs"
    while path:
        text = page(boss, path)
        seen += [target for target in links(text) if re.fullmatch(r"/admin/frames/\d+/", target)]
        older = re.search(r'<a href="([^"]*)">Older</a>', text)
        path = f"/admin/frames/{older[1].replace('&amp;', '&')}" if older else ""
    assert len(seen) == len(set(seen)) == 60


def test_a46_scalar_fields_are_changed_by_the_same_command_as_patch(site: Site, boss: httpx.Client) -> None:
    made = site.post(record(target_name="m31", exposure_time=30.5, observation_id=17))
    site.settle()
    answer = edit(boss, made["id"], target_name="M 33", exposure_time="", reason="a typing error")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/admin/frames/{made['id']}/?done=changed")
    site.settle()
    shown = site.admin.get(f"/frames/{made['id']}/").json()
    assert (shown["target_name"], shown["exposure_time"], shown["observation_id"]) == ("M 33", None, 17)
    assert {name: shown[name] for name in made if name in shown and name not in ("target_name", "exposure_time", "url",
            "version_set", "related_frames")} == {name: made[name] for name in made if name in shown and name not in (
            "target_name", "exposure_time", "url", "version_set", "related_frames")}  # fmt: skip
    (amended,) = [entry for entry in site.admin.get(f"/api/v1/audit/frame/{made['basename']}").json()["results"]
                  if entry["event"] == "frame.amended"]  # fmt: skip
    assert (amended["actor"], amended["via"], amended["reason"]) == ("boss", "console", "a typing error")
    after = page(boss, answer.headers["location"])
    assert "The change is recorded." in after
    assert "a typing error" in after
    head = site.events()
    assert edit(boss, made["id"]).headers["location"].endswith("?done=nothing")
    assert site.events() == head


def test_a46_what_cannot_be_is_said_beside_its_field_and_changes_nothing(site: Site, boss: httpx.Client) -> None:
    made = site.post(record())
    site.settle()
    head = site.events()
    answer = edit(boss, made["id"], reduction_level="much", observation_date="yesterday", target_name="t" * 201,
                  configuration_type="FOO")  # fmt: skip
    assert answer.status_code == 400
    for sentence in ("A valid integer is required.", "Datetime has wrong format.",
                     "Ensure this field has no more than 200 characters.", "is not a valid choice."):  # fmt: skip
        assert sentence in answer.text
    assert 'value="yesterday"' in answer.text
    assert site.events() == head


def test_a46_a_change_made_meanwhile_is_not_overwritten(site: Site, boss: httpx.Client) -> None:
    made = site.post(record())
    site.settle()
    form = values(page(boss, f"/admin/frames/{made['id']}/"))
    site.admin.patch(f"/frames/{made['id']}/", json={"target_name": "theirs"})
    answer = boss.post(f"/admin/frames/{made['id']}/edit", data={**form, "target_name": "mine"})
    assert answer.status_code == 409
    assert "Somebody else has changed this frame meanwhile." in answer.text
    assert site.admin.get(f"/frames/{made['id']}/").json()["target_name"] == "theirs"


def test_a46_a_frame_is_deleted_after_it_was_confirmed(site: Site, boss: httpx.Client) -> None:
    made = site.ingest(fits_bytes(), f"{new_name()}.fits")
    site.settle()
    files = len(site.files())
    asked = page(boss, f"/admin/frames/{made['id']}/delete")
    assert f"Delete {made['basename']}?" in asked
    assert site.admin.get(f"/frames/{made['id']}/").status_code == 200, "asking deletes nothing"
    answer = boss.post(f"/admin/frames/{made['id']}/delete", data={**values(asked), "reason": "a test exposure"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/frames/?done=deleted")
    page(boss, f"/admin/frames/{made['id']}/", status=404)
    site.settle()
    assert site.admin.get(f"/frames/{made['id']}/").status_code == 404
    assert len(site.files()) == files - 1
    (deleted,) = [one for one in site.core.log.load(f"frame:{made['basename']}") if one.event.topic == "frame.deleted"]
    assert (deleted.cause.actor, deleted.cause.reason) == ("boss", "a test exposure")


def test_a46_users_are_created_and_changed(site: Site, boss: httpx.Client) -> None:
    answer = send(boss, "/admin/users/", username="néw/user", password=PASSWORD, proposals="P1, P2  P3")
    assert answer.status_code == 303
    place = answer.headers["location"]
    shown = page(boss, place)
    assert "The account is there." in shown
    for proposal in ("P1", "P2", "P3"):
        assert proposal in shown
    answer = site.anonymous.post("/api-token-auth/", json={"username": "néw/user", "password": PASSWORD})
    client = site.client(answer.json()["token"])
    assert client.get("/profile/").json() == {
        "username": "néw/user", "profile": {"proposals": ["P1", "P2", "P3"]}, "is_staff": False,
    }  # fmt: skip
    rights = "/admin/user/rights?name=n%C3%A9w%2Fuser"
    assert send(boss, rights, active="on", is_staff="on", proposals="P9", reason="joined").status_code == 303
    assert client.get("/versions/").status_code == 200
    assert client.get("/profile/").json()["profile"] == {"proposals": ["P9"]}
    assert send(boss, rights, is_staff="on", proposals="P9").status_code == 303
    assert client.get("/profile/").status_code == 401, "at once"
    assert "may not come in" in page(boss, place)
    taken = send(boss, "/admin/users/", username="néw/user")
    assert taken.status_code == 400
    assert "There is a user" in taken.text
    assert send(boss, "/admin/users/", username="short", password="short").status_code == 400
    page(boss, "/admin/user/?name=short", status=404)


def test_a46_a_superuser_cannot_shut_themselves_out(site: Site, boss: httpx.Client) -> None:
    for fields in ({}, {"active": "on"}, {"is_superuser": "on"}):
        answer = send(boss, "/admin/user/rights?name=boss", **fields)
        assert answer.status_code == 403
        assert "You can" in answer.text
    assert page(boss, "/admin/")


def test_a46_a_password_is_set_and_an_unfit_one_is_refused(site: Site, boss: httpx.Client) -> None:
    site.new_user("forgetful")
    site.settle()
    refused = send(boss, "/admin/user/password?name=forgetful", password="short")
    assert refused.status_code == 400
    assert "A password has 8 to 1000 characters." in refused.text
    assert send(boss, "/admin/user/password?name=forgetful", password="another good one").status_code == 303
    body = {"username": "forgetful", "password": "another good one"}
    assert site.anonymous.post("/api-token-auth/", json=body).status_code == 200


def test_a46_a_new_password_and_a_closed_account_end_the_sessions(site: Site, boss: httpx.Client) -> None:
    staff = browser(site, "in-two-places", staff=True)
    page(staff, "/admin/")
    assert send(boss, "/admin/user/password?name=in-two-places", password="another good one").status_code == 303
    assert staff.get("/admin/").status_code == 302
    other = browser(site, "dismissed", staff=True)
    page(other, "/admin/")
    assert send(boss, "/admin/user/rights?name=dismissed", is_staff="on").status_code == 303
    assert send(boss, "/admin/user/rights?name=dismissed", is_staff="on", active="on").status_code == 303
    assert other.get("/admin/").status_code == 302, "coming back needs the password"


def test_a46_a_token_is_shown_once_and_can_be_revoked(site: Site, boss: httpx.Client) -> None:
    site.new_user("program")
    site.settle()
    answer = send(boss, "/admin/user/tokens?name=program")
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    token = re.search(r"<pre>([0-9a-f]{40})</pre>", answer.text)
    assert token
    client = site.client(token[1])
    assert client.get("/profile/").json()["username"] == "program"
    shown = page(boss, "/admin/user/?name=program")
    assert token[1] not in shown
    assert hash_token(token[1])[:12] in shown
    assert token[1] not in str(site.core.log.load("account:program"))
    assert send(boss, "/admin/user/tokens/revoke?name=program", hash=hash_token(token[1])).status_code == 303
    assert client.get("/profile/").status_code == 401
    for nonsense in ("", "0" * 63, "%", token[1]):
        assert send(boss, "/admin/user/tokens/revoke?name=program", hash=nonsense).status_code == 404


def test_a46_the_service_page_tells_of_read_models_and_what_was_set_aside(site: Site, boss: httpx.Client) -> None:
    with site.core.pool.connection() as connection:
        connection.execute("INSERT INTO starferry.dead_letter (consumer, position, stream) VALUES ('policy:X', 1, 's')")
    try:
        shown = page(boss, "/admin/service/")
    finally:
        with site.core.pool.connection() as connection:
            connection.execute("DELETE FROM starferry.dead_letter WHERE consumer = 'policy:X'")
    for name in ("accounts", "frames", "observations", "transfers", "policy:X"):
        assert name in shown
    assert "/admin/events/1/" in links(shown)
    assert "account.created" in page(boss, "/admin/events/1/")
    page(boss, "/admin/events/999999999/", status=404)


def every_page(frame: dict[str, Any]) -> list[tuple[str, str]]:
    places = {"{frame_id:str}": str(frame["id"]), "{thumbnail_id:int}": "1", "{position:int}": "1"}
    found = []
    for path, methods in routes().items():
        for name, value in places.items():
            path = path.replace(name, value)
        path += "?name=boss" if "/user" in path else ""
        found += [(method, path) for method in methods if method != "HEAD"]
    return found


def test_a46_strangers_are_sent_to_the_login_and_others_are_refused(
    site: Site, outsider: httpx.Client, frame: dict[str, Any]
) -> None:
    head = site.events()
    token = outsider.cookies["csrftoken"]
    for method, path in every_page(frame):
        answer = site.anonymous.request(method, path)
        assert answer.status_code == 302, path
        assert answer.headers["location"].startswith("/api-auth/login/?next=%2Fadmin"), path
        mine = outsider.request(method, path, data={"csrfmiddlewaretoken": token} if method == "POST" else None)
        assert mine.status_code == 403, path
        assert frame["basename"] not in mine.text
    assert site.user.get("/admin/").status_code == 403
    assert site.events() == head


def test_a46_staff_may_look_and_change_nothing(site: Site, looker: httpx.Client, frame: dict[str, Any]) -> None:
    head = site.events()
    token = looker.cookies["csrftoken"]
    for method, path in every_page(frame):
        if method == "POST" or "/delete" in path or "/events/" in path:
            data = {"csrfmiddlewaretoken": token} if method == "POST" else None
            assert looker.request(method, path, data=data).status_code == 403, path
    for path in ("/admin/", "/admin/frames/", "/admin/users/", "/admin/user/?name=boss", "/admin/service/"):
        text = page(looker, path)
        assert 'method="post"' not in text.replace('method="post" action="/api-auth/logout/"', "")
        assert frame["basename"] not in text or frame["public_date"] < "2026"
    hidden_frame = site.post(record(proposal_id="SECRET", public_date=FUTURE))
    site.settle()
    page(looker, f"/admin/frames/{hidden_frame['id']}/", status=404)
    assert hidden_frame["basename"] not in page(looker, "/admin/frames/?proposal_id=SECRET")
    assert site.events() == head + 1


EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}"


def test_a46_markup_in_names_and_headers_is_inert(site: Site, boss: httpx.Client) -> None:
    made = site.post(record(target_name=EVIL, proposal_id=EVIL, basename=f"{new_name()}{EVIL}", site_id="evl",
                            headers={"OBJECT": EVIL, EVIL: EVIL}))  # fmt: skip
    name = "<b>evil</b>'\"&user"
    assert send(boss, "/admin/users/", username=name, proposals=EVIL).status_code == 303
    edit(boss, made["id"], reason=EVIL)
    site.settle()
    position = site.core.log.load(f"frame:{made['basename']}")[-1].position
    for path in (f"/admin/frames/{made['id']}/", "/admin/frames/?site_id=evl", f"/admin/frames/{made['id']}/delete",
                 "/admin/users/?name=evil", "/admin/user/?name=%3Cb%3Eevil%3C%2Fb%3E%27%22%26user", "/admin/",
                 f"/admin/events/{position}/"):  # fmt: skip
        text = page(boss, path)
        assert "<script" not in text, path
        assert "<img src=x" not in text
        assert "<b>evil" not in text
        assert "&lt;" in text, path
    searched = page(boss, "/admin/frames/?basename=%22%3E%3Cscript%3E&start=%3Cscript%3E", status=400)
    assert "<script" not in searched
    assert "&lt;script&gt;" in searched


@pytest.mark.parametrize("given", [{}, {"csrfmiddlewaretoken": ""}, {"csrfmiddlewaretoken": "0" * 64}])
def test_b04_a_form_without_the_sessions_own_token_changes_nothing(
    site: Site, boss: httpx.Client, frame: dict[str, Any], given: dict[str, str]
) -> None:
    head = site.events()
    for method, path in every_page(frame):
        if method == "POST":
            answer = boss.post(path, data={**given, "username": "intruder", "active": "on"})
            assert answer.status_code == 403, path
            assert "CSRF Failed" in answer.text
    foreign = hidden(browser(site, f"other-{secrets.token_hex(4)}", superuser=True).get("/admin/").text)
    head = site.events()
    assert boss.post("/admin/users/", data={**foreign, "username": "intruder"}).status_code == 403
    elsewhere = {"Origin": "https://elsewhere.example"}
    token = boss.cookies["csrftoken"]
    data = {"csrfmiddlewaretoken": token, "username": "intruder"}
    assert boss.post("/admin/users/", data=data, headers=elsewhere).status_code == 403
    assert site.events() == head


def test_a46_odd_requests_are_refused_with_a_page(site: Site, boss: httpx.Client, frame: dict[str, Any]) -> None:
    for path in ("/admin/frames/0/", "/admin/frames/x/", "/admin/frames/99999999999999/", "/admin/user/?name=%00",
                 "/admin/user/?name=nobody-here", "/admin/events/0/", "/admin/events/99999999999999999999/",
                 f"/admin/frames/{frame['id']}/thumbnails/999999999"):  # fmt: skip
        page(boss, path, status=404)
    for query in ("offset=-1", "offset=x", "offset=99999999999999999999", "basename=%00", "beyond=%00", "name=%ff"):
        for path in ("/admin/frames/", "/admin/users/"):
            assert boss.get(f"{path}?{query}").status_code in (200, 400), query
    assert boss.request("DELETE", "/admin/frames/").status_code == 405
    assert send(boss, "/admin/users/", username="a\0b").status_code == 400
    assert send(boss, "/admin/user/rights?name=boss", active="on", is_superuser="on", proposals="\0").status_code == 400
    assert boss.head("/admin/").status_code == 200
