"""A password for a token, as OCS clients ask for it (B05, local accounts)."""

from __future__ import annotations

import pytest

from application.commands.accounts import create_user
from tests.site import CAUSE, Site

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def name(site: Site) -> str:
    core = site.core
    create_user(core.log, core.passwords, core.clock, CAUSE, "login-user", password=PASSWORD)
    return "login-user"


@pytest.mark.parametrize("how", ["json", "data"])
def test_b05_a_password_gives_a_token_that_works_at_once(site: Site, name: str, how: str) -> None:
    answer = site.anonymous.post("/api-token-auth/", **{how: {"username": name, "password": PASSWORD}})
    assert answer.status_code == 200
    token = answer.json()["token"]
    assert len(token) == 40
    profile = site.anonymous.get("/profile/", headers={"Authorization": f"Token {token}"}).json()
    assert profile["username"] == name
    again = site.anonymous.post("/api-token-auth/", headers={"Authorization": f"Token {token}"})
    assert again.json() == {"token": token}


@pytest.mark.parametrize("wrong", [("login-user", "wrong password"), ("nobody-here", PASSWORD)])
def test_b05_a_wrong_password_and_an_unknown_user_get_the_same_answer(
    site: Site, name: str, wrong: tuple[str, str]
) -> None:
    answer = site.anonymous.post("/api-token-auth/", json={"username": wrong[0], "password": wrong[1]})
    assert answer.status_code == 400
    assert answer.json() == {"non_field_errors": ["Unable to log in with provided credentials."]}


def test_b05_missing_fields_are_named(site: Site) -> None:
    required = ["This field is required."]
    assert site.anonymous.post("/api-token-auth/", json={}).json() == {"username": required, "password": required}
    assert site.anonymous.post("/api-token-auth/", content=b"{").status_code == 400
    nul = site.anonymous.post("/api-token-auth/", json={"username": "a\0", "password": "x"})
    assert nul.json() == {"username": ["Not a valid string."]}


def test_b05_the_same_token_is_given_each_time(site: Site, name: str) -> None:
    body = {"username": name, "password": PASSWORD}
    first = site.anonymous.post("/api-token-auth/", json=body).json()["token"]
    events = site.events()
    assert site.anonymous.post("/api-token-auth/", files={k: (None, v) for k, v in body.items()}).json() == {
        "token": first
    }
    assert site.events() == events


def test_b05_a_token_made_by_the_operator_is_given_back(site: Site) -> None:
    assert site.user.post("/api-token-auth/").json() == {"token": site.user_token}


def test_b05_guessing_is_slowed_for_the_guesser_and_the_owner_still_comes_in(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.password_pace.SECONDS_A_TRY", 60.0)  # none is worked off while this goes on
    core = site.core
    create_user(core.log, core.passwords, core.clock, CAUSE, "guessed-at", password=PASSWORD)
    guesser = site.client(X_Forwarded_For="203.0.113.66")
    statuses = [
        guesser.post("/api-token-auth/", json={"username": "guessed-at", "password": f"guess {number}"}).status_code
        for number in range(25)
    ]
    assert statuses[:20] == [400] * 20
    assert 429 in statuses[20:]
    refused = guesser.post("/api-token-auth/", json={"username": "guessed-at", "password": PASSWORD})
    assert int(refused.headers["retry-after"]) <= 60, "slowed, not locked out"
    owner = site.client(X_Forwarded_For="203.0.113.67")
    body = {"username": "guessed-at", "password": PASSWORD}
    assert [owner.post("/api-token-auth/", json=body).status_code for _ in range(25)] == [200] * 25
    assert guesser.post("/api-token-auth/", json={"username": "login-user", "password": "x"}).status_code == 400


def test_b06_a_revoked_token_dies_and_the_next_password_gives_another(site: Site) -> None:
    core = site.core
    create_user(core.log, core.passwords, core.clock, CAUSE, "revoker", password=PASSWORD)
    body = {"username": "revoker", "password": PASSWORD}
    old = site.anonymous.post("/api-token-auth/", json=body).json()["token"]
    spare = site.client(old)
    assert spare.get("/profile/").status_code == 200
    answer = spare.post("/revoke_token/")
    assert (answer.status_code, answer.json()) == (200, {"message": "API token revoked."})
    assert spare.get("/profile/").json() == {"detail": "Invalid token."}
    new = site.anonymous.post("/api-token-auth/", json=body).json()["token"]
    assert new != old
    assert site.client(new).get("/profile/").json()["username"] == "revoker"
    anonymous = site.anonymous.post("/revoke_token/")
    assert anonymous.status_code == 401
    assert anonymous.json() == {"detail": "Authentication credentials were not provided."}
    assert site.client(new).get("/revoke_token/").status_code == 405
