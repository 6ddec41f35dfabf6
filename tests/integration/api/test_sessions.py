"""Sessions for browsers, and what they must prove (B04)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

import httpx
import psycopg
import pytest

from adapters.sessions import hash_session
from application.commands.accounts import change_account, create_user
from tests.records import FUTURE, record
from tests.site import CAUSE, PROPOSAL, Site, served

PASSWORD = "correct horse battery"
LOGIN, LOGOUT = "/api-auth/login/", "/api-auth/logout/"


@pytest.fixture
def name(site: Site) -> str:
    core, name = site.core, f"browser-{secrets.token_hex(4)}"
    create_user(core.log, core.passwords, core.clock, CAUSE, name, password=PASSWORD, proposals=(PROPOSAL,))
    return name


@pytest.fixture
def browser(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, timeout=20, trust_env=False) as client:
        yield client


def token_in(page: httpx.Response) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="([0-9a-f]{64})"', page.text)
    assert found
    return found[1]


def log_in(
    browser: httpx.Client, name: str, *, password: str = PASSWORD, target: str = "", **headers: str
) -> httpx.Response:
    token = token_in(browser.get(LOGIN))
    form = {"username": name, "password": password, "csrfmiddlewaretoken": token, "next": target}
    return browser.post(LOGIN, data=form, headers=headers)


def test_b04_a_login_opens_what_the_user_may_see_and_a_logout_closes_it(
    site: Site, browser: httpx.Client, name: str
) -> None:
    frame = site.post(record(proposal_id=PROPOSAL, public_date=FUTURE))
    site.settle()
    route = f"/frames/{frame['id']}/"
    assert browser.get(route).status_code == 404
    answer = log_in(browser, name, target="/frames/?limit=1")
    assert (answer.status_code, answer.headers["location"]) == (302, "/frames/?limit=1")
    assert browser.get("/profile/").json()["username"] == name
    assert browser.get(route).status_code == 200
    session = browser.cookies["sessionid"]
    page = browser.get(LOGOUT)
    assert name in page.text
    left = browser.post(LOGOUT, data={"csrfmiddlewaretoken": token_in(page)})
    assert left.status_code == 302
    assert "sessionid" not in browser.cookies
    assert browser.get("/profile/", headers={"Cookie": f"sessionid={session}"}).json()["username"] == ""


def test_b04_cookies_are_kept_from_scripts_and_other_sites(browser: httpx.Client, name: str) -> None:
    plain = log_in(browser, name)
    cookies = {line.split("=")[0]: line.lower() for line in plain.headers.get_list("set-cookie")}
    assert "httponly" in cookies["sessionid"]
    assert "samesite=lax" in cookies["sessionid"]
    assert "secure" not in cookies["sessionid"]
    assert "httponly" not in cookies["csrftoken"], "scripts repeat it in a header"
    encrypted = log_in(browser, name, **{"X-Forwarded-Proto": "https"})
    for line in encrypted.headers.get_list("set-cookie"):
        assert "secure" in line.lower()


def test_b04_the_database_has_only_a_hash_and_an_end(site: Site, browser: httpx.Client, name: str) -> None:
    log_in(browser, name)
    session = browser.cookies["sessionid"]
    with psycopg.connect(site.core.conninfo, autocommit=True) as connection:
        rows = connection.execute("SELECT * FROM starferry.session WHERE username = %s", (name,)).fetchall()
        assert rows[0][0] == hash_session(session)
        assert session not in str(rows)
        connection.execute("UPDATE starferry.session SET expires_at = now() WHERE username = %s", (name,))
    with served(site.core.settings, site.core.conninfo) as fresh:  # a process that remembers nothing
        answer = site.client(url=fresh, Cookie=f"sessionid={session}").get("/profile/")
    assert answer.json()["username"] == ""


def test_b04_an_unsafe_call_needs_the_token_in_header_or_form(site: Site, browser: httpx.Client, name: str) -> None:
    core = site.core
    change_account(core.log, core.clock, CAUSE, name, is_superuser=True)
    site.settle()
    log_in(browser, name)
    token, body, events = browser.cookies["csrftoken"], record(), site.events()
    missing = browser.post("/frames/", json=body)
    assert (missing.status_code, missing.json()) == (403, {"detail": "CSRF Failed: CSRF token missing."})
    for wrong in ("0" * 64, "é", token[:-1]):
        answer = browser.post("/frames/", json=body, headers=[(b"X-CSRFToken", wrong.encode())])
        assert answer.json() == {"detail": "CSRF Failed: CSRF token incorrect."}
    abroad = {"X-CSRFToken": token, "Origin": "https://evil.example.org"}
    assert browser.post("/frames/", json=body, headers=abroad).status_code == 403
    assert browser.post("/frames/", json=body, headers={**abroad, "Origin": "null"}).status_code == 403
    assert browser.post("/api/v1/observations", json={"name": "x"}).status_code == 403
    assert browser.post("/api/v1/ingest", files={"file": ("a.fits", b"")}).status_code == 403
    assert browser.post("/revoke_token/").status_code == 403
    assert site.events() == events
    assert browser.post("/frames/", json=body, headers={"X-CSRFToken": token, "Origin": site.url}).status_code == 201
    assert browser.post("/revoke_token/", data={"csrfmiddlewaretoken": token}).status_code == 200


def test_b04_a_token_or_no_session_needs_no_csrf_token(site: Site, browser: httpx.Client, name: str) -> None:
    log_in(browser, name)
    headers = {"Authorization": f"Token {site.admin_token}", "Origin": "https://elsewhere.example.org"}
    assert browser.post("/frames/", json=record(), headers=headers).status_code == 201
    assert browser.get("/profile/", headers=headers).json()["username"] == "admin", "the token comes first"
    bad = browser.get("/profile/", headers={"Authorization": "Token wrong"})
    assert bad.status_code == 401
    ignored = browser.get("/profile/", headers={"Authorization": "Bearer whatever"})
    assert ignored.json()["username"] == name, "the session comes before a bearer token"
    unknown = site.anonymous.get("/profile/", headers={"Cookie": "sessionid=whatever; csrftoken=x"})
    assert unknown.json()["username"] == ""


def test_b04_the_token_of_another_session_is_wrong(site: Site, browser: httpx.Client, name: str) -> None:
    log_in(browser, name)
    first = browser.cookies["csrftoken"]
    log_in(browser, name)
    assert browser.cookies["csrftoken"] != first
    assert browser.post("/revoke_token/", headers={"X-CSRFToken": first}).status_code == 403


def test_b04_the_login_itself_is_protected(site: Site, browser: httpx.Client, name: str) -> None:
    form = {"username": name, "password": PASSWORD}
    answer = browser.post(LOGIN, data=form)
    assert (answer.status_code, answer.json()) == (403, {"detail": "CSRF Failed: CSRF cookie not set."})
    browser.get(LOGIN)
    assert browser.post(LOGIN, data=form).status_code == 403
    assert browser.post(LOGIN, data={**form, "csrfmiddlewaretoken": "0" * 64}).status_code == 403
    assert log_in(browser, name, Origin="https://evil.example.org").status_code == 403
    assert "sessionid" not in browser.cookies


def test_b04_a_wrong_password_shows_the_form_again_and_inactive_users_stay_out(
    site: Site, browser: httpx.Client, name: str
) -> None:
    for user, password in ((name, "wrong"), ("nobody<script>", "wrong"), ("", ""), (name, "\0")):
        answer = log_in(browser, user, password=password, target='"><script>alert(1)</script>')
        assert answer.status_code == 200
        assert "belong together" in answer.text
        assert "<script>" not in answer.text
        assert "sessionid" not in browser.cookies
    core = site.core
    log_in(browser, name)
    session = browser.cookies["sessionid"]
    change_account(core.log, core.clock, CAUSE, name, active=False)
    site.settle()
    with served(core.settings, core.conninfo) as fresh:
        answer = site.client(url=fresh, Cookie=f"sessionid={session}").get("/profile/")
    assert answer.json()["username"] == ""
    browser.cookies.clear()
    assert "belong together" in log_in(browser, name).text


@pytest.mark.parametrize(
    "target",
    ["//evil.example.org", "https://evil.example.org", "/\\evil.example.org", "javascript:alert(1)", "/a\r\nX: y", ""],
)
def test_b04_next_leads_nowhere_else(browser: httpx.Client, name: str, target: str) -> None:
    answer = log_in(browser, name, target=target)
    assert (answer.status_code, answer.headers["location"]) == (302, "/")


def test_b04_a_new_login_ends_the_session_before(site: Site, browser: httpx.Client, name: str) -> None:
    log_in(browser, name)
    first = browser.cookies["sessionid"]
    log_in(browser, name)
    assert browser.cookies["sessionid"] != first
    assert site.anonymous.get("/profile/", headers={"Cookie": f"sessionid={first}"}).json()["username"] == ""


def test_b05_a_session_gets_its_users_token(browser: httpx.Client, name: str) -> None:
    log_in(browser, name)
    headers = {"X-CSRFToken": browser.cookies["csrftoken"]}
    token = browser.post("/api-token-auth/", headers=headers).json()["token"]
    assert browser.post("/api-token-auth/", headers=headers).json() == {"token": token}
    with httpx.Client(base_url=browser.base_url, trust_env=False, timeout=60) as other:
        answer = other.post("/api-token-auth/", data={"username": name, "password": PASSWORD})
    assert answer.json() == {"token": token}
