"""Users of an observation portal: rows B02, B03, B05, B08 and B09 of the contract, against a portal on loopback."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest
from structlog.testing import capture_logs

from domain import accounts
from tests.emulators.portal import RunningPortal, running_portal
from tests.postgres import fresh_database
from tests.records import FUTURE, record
from tests.site import Site, eventually, running_site, served

PASSWORD = "portal password 1"


@pytest.fixture(scope="module")
def portal() -> Iterator[RunningPortal]:
    with running_portal() as running:
        yield running


@pytest.fixture(scope="module")
def site(
    cluster: str, template: str, portal: RunningPortal, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    with (
        fresh_database(cluster, template=template) as conninfo,
        running_site(tmp_path_factory.mktemp("site"), conninfo, portal.settings, prepared=True) as running,
    ):
        yield running


@pytest.fixture
def name() -> str:
    return f"user-{secrets.token_hex(4)}"


def push(site: Site, key: str = "server-key-1234", **user: Any) -> httpx.Response:
    headers = {"Authorization": f"Server {key}"}
    return site.anonymous.post("/authprofile/addupdateuser/", json=user, headers=headers)


def profile(site: Site, authorization: str) -> httpx.Response:
    return site.anonymous.get("/profile/", headers={"Authorization": authorization})


def account(site: Site, name: str) -> accounts.Account:
    return accounts.fold(site.core.log.load(accounts.stream_of(name)))


def ask_again(site: Site, name: str) -> None:
    """Let the hour be over, in the database and in the process's memory of two seconds."""
    with site.core.pool.connection() as connection:
        connection.execute("UPDATE starferry.portal_question SET due_at = now() WHERE username = %s", (name,))


def test_b02_a_pushed_token_works_and_is_only_kept_as_a_hash(site: Site, name: str) -> None:
    token = secrets.token_hex(20)
    assert push(site, username=name, tokens={"api_token": token}).json() == {"message": "User account updated"}
    for scheme in ("Token", "token", "TOKEN"):
        assert profile(site, f"{scheme} {token}").json()["username"] == name
    other = secrets.token_hex(20)
    push(site, username=name, tokens={"api_token": other})
    assert profile(site, f"Token {token}").json() == {"detail": "Invalid token."}
    assert profile(site, f"Token {other}").json()["username"] == name
    assert kept_anywhere(site, other) == []


def test_b02_a_token_learned_from_a_bearer_request_works(site: Site, portal: RunningPortal, name: str) -> None:
    user = portal.emulator.user(name)
    assert profile(site, f"Token {user.api_token}").status_code == 401
    assert profile(site, f"Bearer {portal.emulator.bearer(name)}").json()["username"] == name
    assert profile(site, f"Token {user.api_token}").json()["username"] == name


def test_b02_a_token_of_our_own_comes_before_the_portals(site: Site, name: str) -> None:
    token = site.new_user(name)
    push(site, username=f"{name}-other", tokens={"api_token": token})
    site.settle()
    assert profile(site, f"Token {token}").json()["username"] == name


def test_b03_a_bearer_is_asked_of_the_portal_and_its_user_made(site: Site, portal: RunningPortal, name: str) -> None:
    portal.emulator.user(name, proposals=["P-B", "P-A"], is_staff=True, is_superuser=True, staff_view=True)
    answer = profile(site, f"Bearer {portal.emulator.bearer(name)}")
    assert answer.json() == {"username": name, "profile": {"proposals": ["P-A", "P-B"]}, "is_staff": False}
    made = account(site, name)
    assert (made.is_staff, made.is_superuser, made.staff_view) == (False, False, True), "a bearer gives no flags"
    assert made.portal_token


def test_b03_a_bearer_is_asked_once_in_a_while_only(site: Site, portal: RunningPortal, name: str) -> None:
    portal.emulator.user(name)
    token, before = portal.emulator.bearer(name), portal.calls("/api/profile/")
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: profile(site, f"Bearer {token}").json()["username"], range(16)))
    assert found == [name] * 16
    assert portal.calls("/api/profile/") == before + 1


@pytest.mark.parametrize("header", ["Bearer unknown-token", "Bearer", "Bearer a\xe9"])
def test_b03_a_bearer_that_the_portal_does_not_know_is_refused(site: Site, header: str) -> None:
    answer = site.anonymous.get("/frames/", headers=[(b"Authorization", header.encode("latin-1"))])
    assert (answer.status_code, answer.json()) == (401, {"detail": "No Such User"})
    assert answer.headers["www-authenticate"] == "Token"


def test_b03_the_scheme_is_case_sensitive(site: Site, portal: RunningPortal, name: str) -> None:
    portal.emulator.user(name)
    assert profile(site, f"bearer {portal.emulator.bearer(name)}").json()["username"] == ""


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 200, "body": "<html>"}, {"status": 200, "body": "[1]"}, {"close": "before"}]
)
def test_b03_while_the_portal_is_away_a_new_bearer_gets_503_and_a_known_one_works(
    cluster: str, template: str, portal: RunningPortal, tmp_path: Any, name: str, fault: dict[str, Any]
) -> None:
    portal.emulator.user(name, proposals=["P-B"])
    known = portal.emulator.bearer(name)
    with (
        fresh_database(cluster, template=template) as conninfo,
        running_site(tmp_path, conninfo, portal.settings, prepared=True) as site,
    ):
        assert profile(site, f"Bearer {known}").status_code == 200
        with portal.outage(**fault):
            answer = profile(site, f"Bearer {portal.emulator.bearer(name)}")
            assert answer.status_code == 503
            assert "observation portal" in answer.json()["detail"]
            assert int(answer.headers["retry-after"]) >= 1
            assert profile(site, f"Bearer {known}").json()["profile"] == {"proposals": ["P-B"]}
            assert site.anonymous.get("/frames/").status_code == 200


def test_b05_the_portals_password_gives_a_token_and_works_during_an_outage(
    site: Site, portal: RunningPortal, name: str
) -> None:
    portal.emulator.user(name, password=PASSWORD, is_staff=True, proposals=["P-1"])
    body = {"username": name, "password": PASSWORD}
    token = site.anonymous.post("/api-token-auth/", json=body).json()["token"]
    found = profile(site, f"Token {token}").json()
    assert found == {"username": name, "profile": {"proposals": ["P-1"]}, "is_staff": True}
    calls = portal.calls("/o/token/")
    with portal.outage():
        assert site.anonymous.post("/api-token-auth/", data=body).json() == {"token": token}
    assert site.anonymous.post("/api-token-auth/", files={k: (None, v) for k, v in body.items()}).status_code == 200
    assert portal.calls("/o/token/") == calls, "the local password is asked first"


def test_b05_a_local_password_never_reaches_the_portal(site: Site, portal: RunningPortal, name: str) -> None:
    core = site.core
    site.new_user(name)
    core.passwords.set(name, "a local password")
    calls = portal.calls("/o/token/")
    answer = site.anonymous.post("/api-token-auth/", json={"username": name, "password": "a local password"})
    assert answer.status_code == 200
    assert portal.calls("/o/token/") == calls


def test_b05_what_nobody_knows_is_refused_and_an_outage_is_told(site: Site, portal: RunningPortal, name: str) -> None:
    body = {"username": name, "password": "who knows"}
    refused = site.anonymous.post("/api-token-auth/", json=body)
    assert refused.status_code == 400
    assert refused.json() == {"non_field_errors": ["Unable to log in with provided credentials."]}
    with portal.outage():
        assert site.anonymous.post("/api-token-auth/", json=body).status_code == 503


def test_b08_the_push_makes_and_changes_users_and_what_it_leaves_out_is_empty(site: Site, name: str) -> None:
    token = secrets.token_hex(20)
    full = {
        "username": name, "first_name": "Ada", "last_name": "L", "email": "ada@example.org", "is_staff": True,
        "is_superuser": True, "tokens": {"api_token": token}, "profile": {"staff_view": True},
    }  # fmt: skip
    assert push(site, **full).status_code == 200
    made = account(site, name)
    assert (made.is_staff, made.is_superuser, made.staff_view) == (True, True, True)
    assert profile(site, f"Token {token}").json()["is_staff"] is True
    events = site.events()
    assert push(site, **full).status_code == 200
    assert site.events() == events, "the same again is no event"
    assert push(site, username=name).json() == {"message": "User account updated"}
    left = account(site, name)
    assert (left.is_staff, left.is_superuser, left.staff_view, left.portal_token) == (False, False, False, "")
    assert profile(site, f"Token {token}").status_code == 401
    assert site.core.vault.names(f"portal:{name}") == frozenset()


@pytest.mark.parametrize("authorization", [None, "Server", "Server wrong", "Token server-key-1234", "server-key-1234"])
def test_b08_without_the_server_key_nothing_is_done(site: Site, name: str, authorization: str | None) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    events = site.events()
    answer = site.anonymous.post("/authprofile/addupdateuser/", json={"username": name}, headers=headers)
    assert (answer.status_code, answer.json()) == (403, {"detail": "Invalid or missing API Key."})
    assert site.events() == events


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"username": 5, "tokens": []}',
        b'{"username": "a b"}',
        b'{"username": "\\u0000"}',
        b'{"username": "ok", "tokens": {"api_token": "' + b"x" * 2000 + b'"}}',
    ],
)
def test_b08_a_push_that_makes_no_sense_is_refused(site: Site, body: bytes) -> None:
    headers = {"Authorization": "Server server-key-1234", "Content-Type": "application/json"}
    answer = site.anonymous.post("/authprofile/addupdateuser/", content=body, headers=headers)
    assert answer.status_code == 400, answer.text


def test_b09_proposals_come_from_the_portal_open_frames_and_are_asked_for_once(
    site: Site, portal: RunningPortal, name: str
) -> None:
    proposal = f"P-{name}"
    frame = site.post(record(proposal_id=proposal, public_date=FUTURE))
    user = portal.emulator.user(name, proposals=[proposal])
    push(site, username=name, tokens={"api_token": user.api_token})
    before = portal.calls("/api/profile/")
    headers = {"Authorization": f"Token {user.api_token}"}
    route = f"/frames/{frame['id']}/"
    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(lambda _: site.anonymous.get(route, headers=headers).status_code, range(16)))
    assert statuses == [200] * 16
    assert portal.calls("/api/profile/") == before + 1, "one call at a time, and its answer is kept"
    assert account(site, name).learned == (proposal,)


def test_b09_an_empty_answer_is_kept_too(site: Site, portal: RunningPortal, name: str) -> None:
    user = portal.emulator.user(name)
    push(site, username=name, tokens={"api_token": user.api_token})
    before, events = portal.calls("/api/profile/"), site.events()
    for _ in range(5):
        assert profile(site, f"Token {user.api_token}").json()["profile"] == {"proposals": []}
    with served(site.core.settings, site.core.conninfo) as other:
        client = site.client(user.api_token, url=other)
        assert client.get("/profile/").json()["profile"] == {"proposals": []}
    assert portal.calls("/api/profile/") == before + 1, "another process needn't ask either"
    assert site.events() == events, "and nothing changed, so nothing is written"


def test_b09_an_old_list_is_renewed_and_survives_an_outage(site: Site, portal: RunningPortal, name: str) -> None:
    user = portal.emulator.user(name, proposals=["P-1"])
    token = user.api_token
    push(site, username=name, tokens={"api_token": token})

    def listed() -> list[str]:
        with served(site.core.settings, site.core.conninfo) as fresh:  # a process that remembers nothing
            answer = site.client(token, url=fresh).get("/profile/")
        found: list[str] = answer.json()["profile"]["proposals"]
        return found

    assert listed() == ["P-1"]
    user.proposals = ["P-2"]
    assert listed() == ["P-1"], "good for an hour"
    ask_again(site, name)
    with portal.outage(close="before"), capture_logs() as logs:
        assert listed() == ["P-1"], "valid through an outage"
    assert any(entry["log_level"] == "warning" and entry.get("username") == name for entry in logs)
    assert account(site, name).learned == ("P-1",)
    ask_again(site, name)
    assert listed() == ["P-2"]
    user.api_token = "another"
    ask_again(site, name)
    assert listed() == [], "who is no longer known has no proposals"


def test_b09_a_list_near_its_end_is_renewed_in_the_background(site: Site, portal: RunningPortal, name: str) -> None:
    user = portal.emulator.user(name, proposals=["P-1"])
    push(site, username=name, tokens={"api_token": user.api_token})
    assert profile(site, f"Token {user.api_token}").json()["profile"] == {"proposals": ["P-1"]}
    user.proposals = ["P-2"]
    with site.core.pool.connection() as connection:
        connection.execute(
            "UPDATE starferry.portal_question SET due_at = now() + interval '5 minutes' WHERE username = %s", (name,)
        )
    with served(site.core.settings, site.core.conninfo) as fresh:
        client = site.client(user.api_token, url=fresh)
        assert client.get("/profile/").json()["profile"] == {"proposals": ["P-1"]}, "nobody waits"
        eventually(lambda: account(site, name).learned == ("P-2",), "the list wasn't renewed")


def test_b09_granted_proposals_stay_beside_the_portals(site: Site, portal: RunningPortal, name: str) -> None:
    site.new_user(name, proposals=("P-GRANTED",))
    user = portal.emulator.user(name, proposals=["P-PORTAL"])
    push(site, username=name, tokens={"api_token": user.api_token})
    assert profile(site, f"Token {user.api_token}").json()["profile"] == {"proposals": ["P-GRANTED", "P-PORTAL"]}


def kept_anywhere(site: Site, secret: str) -> list[str]:
    """The tables that show this text."""
    found = []
    with psycopg.connect(site.core.conninfo) as connection:
        tables = connection.execute(
            "SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) FROM information_schema.tables "
            "WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for (table,) in tables:
            rows = connection.execute(f"SELECT 1 FROM {table} t WHERE t::text LIKE %s".encode(), (f"%{secret}%",))
            found += [table] if rows.fetchone() else []
    return found


def test_b02_b05_b08_no_secret_of_the_portals_is_kept_logged_or_answered(
    site: Site, portal: RunningPortal, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    user = portal.emulator.user(name, password=PASSWORD, proposals=["P-1"])
    with capture_logs() as logs, caplog.at_level(logging.DEBUG):
        before = len(site.answers)
        site.anonymous.post("/api-token-auth/", json={"username": name, "password": PASSWORD})
        bearer = portal.emulator.bearer(name)
        profile(site, f"Bearer {bearer}")
        body = f'{{"error": "bad {bearer} {user.api_token} {PASSWORD} client-secret-4711"}}'
        with portal.outage(status=500, body=body):
            profile(site, f"Bearer {bearer}x")
            site.anonymous.post("/api-token-auth/", json={"username": name, "password": f"{PASSWORD}?"})
    told = str(logs) + caplog.text + "".join(answer.text for answer in site.answers[before:])
    for secret in (user.api_token, bearer, PASSWORD, "client-secret-4711", "server-key-1234"):
        assert secret not in told
        assert kept_anywhere(site, secret) == []
    history = str(site.core.log.load(accounts.stream_of(name)))
    assert user.api_token not in history
    assert "ada@example.org" not in history, "names and addresses can be forgotten"
