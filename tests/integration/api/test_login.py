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
