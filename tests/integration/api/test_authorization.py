"""Dropbox from the first key to the delivered file, through its consent page (S01, S21–S23, S27, S28, S45)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
import pytest

from application.commands import authorization
from tests.emulators.dropbox import RunningDropbox
from tests.integration.api.deliveries import create, observe, story
from tests.integration.api.test_own_ingest import is_problem
from tests.records import fits_bytes, new_name
from tests.site import Site, eventually

CONFIGS = "/api/v1/storage-configs"
EMAIL = "ada@example.org"


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    """Somebody's browser: it has no token of ours."""
    with httpx.Client(timeout=20, trust_env=False) as client:
        yield client


class App:
    """An app at Dropbox and the account that will authorize it."""

    def __init__(self, site: Site, dropbox: RunningDropbox) -> None:
        self.site, self.dropbox = site, dropbox
        self.key, self.secret = secrets.token_hex(8), secrets.token_hex(8)
        self.redirect_uri = f"{site.url}/oauth/callback/dropbox"
        self.account = dropbox.emulator.accounts.register_account(EMAIL)
        dropbox.emulator.accounts.register_app(self.key, self.secret, self.redirect_uri)

    def config(self, client: httpx.Client, **changes: Any) -> str:
        credentials = {"app_key": self.key, "app_secret": self.secret}
        card = create(client, {"provider": "dropbox", "display_name": "My <b>Dropbox</b>", "credentials": credentials,
                               "destination_path": f"/{self.key}", **changes})  # fmt: skip
        return str(card["id"])

    def begin(self, client: httpx.Client, config: str) -> dict[str, str]:
        answer = client.post(f"{CONFIGS}/{config}/authorize")
        assert answer.status_code == 200, answer.text
        begun: dict[str, str] = answer.json()
        return begun

    def agree(
        self, browser: httpx.Client, begun: dict[str, str], *, link: str = "allow", hint: str = ""
    ) -> httpx.Response:
        """Look at the consent page and follow one of its links."""
        page = browser.get(begun["authorization_url"] + (f"&login_hint={hint}" if hint else ""))
        assert page.status_code == 200, page.text
        found = re.search(f'id="{link}" href="([^"]+)"', page.text)
        assert found
        return browser.get(found[1])

    def authorized(self, client: httpx.Client, browser: httpx.Client, **changes: Any) -> str:
        config = self.config(client, **changes)
        assert self.agree(browser, self.begin(client, config)).status_code == 200
        return config


@pytest.fixture
def app(site: Site, dropbox: RunningDropbox) -> App:
    return App(site, dropbox)


def test_s27_the_redirect_uri_is_shown_and_the_page_is_asked_with_state_pkce_and_offline_access(
    site: Site, app: App
) -> None:
    begun = app.begin(site.user, app.config(site.user))
    assert begun["redirect_uri"] == app.redirect_uri
    url = urlsplit(begun["authorization_url"])
    asked = dict(parse_qsl(url.query))
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{app.dropbox.url}/oauth2/authorize"
    assert (asked["client_id"], asked["redirect_uri"], asked["response_type"]) == (app.key, app.redirect_uri, "code")
    assert (asked["code_challenge_method"], asked["token_access_type"]) == ("S256", "offline")
    assert len(asked["code_challenge"]) == 43
    assert len(asked["state"]) >= 43
    assert asked["state"] not in app.begin(site.user, app.config(site.user))["authorization_url"]


def test_s27_after_consent_the_account_is_shown_and_what_waited_is_delivered(
    site: Site, app: App, browser: httpx.Client
) -> None:
    config = app.config(site.admin, path_template="$TARGET")
    card = site.admin.get(f"{CONFIGS}/{config}").json()
    assert (card["needs_authorization"], card["credentials_set"]) == (True, ["app_secret"])
    number = observe(site.admin, config)
    name, data = new_name(), fits_bytes()
    site.ingest(data, f"{name}.fits", observation=str(number))
    site.settle()
    (waiting,) = site.admin.get("/api/v1/transfers", params={"observation": number}).json()["results"]
    eventually(lambda: site.admin.get(f"/api/v1/transfers/{waiting['id']}").json()["held"], "it wasn't held")

    page = app.agree(browser, app.begin(site.admin, config))
    assert page.status_code == 200
    assert EMAIL in page.text
    assert "<b>Dropbox" not in page.text
    site.settle()
    card = site.admin.get(f"{CONFIGS}/{config}").json()
    assert (card["needs_authorization"], card["account"]) == (False, EMAIL)
    assert card["credentials_set"] == ["app_secret", "refresh_token"]
    done = eventually(
        lambda: (row := site.admin.get(f"/api/v1/transfers/{waiting['id']}").json())["status"] == "completed" and row,
        "it wasn't delivered",
    )
    assert "dropbox" in done["verified"]
    store = app.dropbox.emulator.store
    entry = store.entry(app.account, done["destination_path"])
    assert entry is not None
    assert store.blob_path(entry.blob).read_bytes() == data
    authorized = [one for one in story(site.admin, "storage-config", config) if one["event"].endswith("authorized")]
    assert [(one["actor"], one["via"]) for one in authorized] == [("admin", "oauth")]


def test_s29_a_dropbox_is_tested(site: Site, app: App, browser: httpx.Client) -> None:
    waiting = app.config(site.user)
    checks = site.user.post(f"{CONFIGS}/{waiting}/test").json()["checks"]
    assert [(check["name"], check["ok"]) for check in checks] == [("credentials", False)]
    assert "hasn't been authorized" in checks[0]["reason"]
    tested = site.user.post(f"{CONFIGS}/{app.authorized(site.user, browser)}/test").json()
    assert [check["ok"] for check in tested["checks"]] == [True, True, True]


def test_s27_a_state_is_used_once(site: Site, app: App, browser: httpx.Client) -> None:
    begun = app.begin(site.user, app.config(site.user))
    page = browser.get(begun["authorization_url"])
    link = re.search(r'id="allow" href="([^"]+)"', page.text)
    assert link
    assert browser.get(link[1]).status_code == 200
    again = browser.get(link[1])
    assert again.status_code == 400
    assert "used already" in again.text


def test_s27_a_state_that_is_unknown_missing_or_anothers_is_refused(
    site: Site, app: App, browser: httpx.Client
) -> None:
    before = site.events()
    for query in ({}, {"code": "x"}, {"state": "made-up", "code": "x"}, {"state": "", "code": "x"}):
        answer = browser.get(f"{app.redirect_uri}?{urlencode(query)}")
        assert answer.status_code == 400
        assert "Start again from the storage configuration" in answer.text
    begun = app.begin(site.user, app.config(site.user))
    state = parse_qs(urlsplit(begun["authorization_url"]).query)["state"][0]
    other = browser.get(f"{site.url}/oauth/callback/google-drive?{urlencode({'state': state, 'code': 'x'})}")
    assert other.status_code == 400
    assert "another provider" in other.text
    assert site.events() == before + 2, "only the configuration was made, which waits for its authorization"
    assert browser.get(f"{site.url}/oauth/callback/elsewhere?state=x").status_code == 404


def test_s27_a_refusal_says_so_and_uses_the_state_up(site: Site, app: App, browser: httpx.Client) -> None:
    begun = app.begin(site.user, app.config(site.user))
    refused = app.agree(browser, begun, link="deny")
    assert refused.status_code == 400
    assert "refused" in refused.text
    state = parse_qs(urlsplit(begun["authorization_url"]).query)["state"][0]
    assert "used already" in browser.get(f"{app.redirect_uri}?state={state}&code=x").text
    odd = browser.get(f"{app.redirect_uri}?error=<script>&state=x")
    assert odd.status_code == 400
    assert "<script>" not in odd.text


def test_s27_a_code_that_isnt_dropboxs_says_what_to_check(site: Site, app: App, browser: httpx.Client) -> None:
    begun = app.begin(site.user, app.config(site.user))
    state = parse_qs(urlsplit(begun["authorization_url"]).query)["state"][0]
    answer = browser.get(f"{app.redirect_uri}?{urlencode({'state': state, 'code': 'made-up'})}")
    assert answer.status_code == 400
    assert "redirect URI" in answer.text


def test_s27_an_authorization_takes_ten_minutes_at_most(
    site: Site, app: App, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authorization, "LIFETIME", timedelta(seconds=-1))
    late = app.agree(browser, app.begin(site.user, app.config(site.user)))
    assert late.status_code == 400
    assert "ten minutes" in late.text


def test_s27_permissions_that_were_not_given_are_named(
    site: Site, app: App, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = app.begin(site.user, app.config(site.user))
    begun["authorization_url"] = begun["authorization_url"].replace("files.content.write", "files.content.read")
    answer = app.agree(browser, begun)
    assert answer.status_code == 400
    assert "files.content.write" in answer.text


def test_s28_another_account_takes_the_place_of_the_first(site: Site, app: App, browser: httpx.Client) -> None:
    app.dropbox.emulator.accounts.register_account("ben@example.org")
    config = app.authorized(site.user, browser)
    assert app.agree(browser, app.begin(site.user, config), hint="ben@example.org").status_code == 200
    site.settle()
    assert site.user.get(f"{CONFIGS}/{config}").json()["account"] == "ben@example.org"
    assert site.user.post(f"{CONFIGS}/{config}/test").json()["ok"]


def test_only_who_manages_a_configuration_authorizes_it(site: Site, app: App) -> None:
    config = app.config(site.user)
    is_problem(site.anonymous.post(f"{CONFIGS}/{config}/authorize"), 401)
    is_problem(site.client(site.new_user(f"eve-{secrets.token_hex(3)}")).post(f"{CONFIGS}/{config}/authorize"), 404)


def test_a_provider_that_asks_nobody_says_so(site: Site) -> None:
    from tests.integration.api.deliveries import folder_body

    folder = create(site.user, folder_body(site))["id"]
    assert "no authorization" in is_problem(site.user.post(f"{CONFIGS}/{folder}/authorize"), 400)["detail"]


def test_s45_a_new_secret_alone_is_no_authorization(site: Site, app: App) -> None:
    config = app.config(site.user)
    edited = site.user.patch(f"{CONFIGS}/{config}", json={"credentials": {"app_secret": "another"}})
    assert edited.json()["needs_authorization"]


def test_s25_deleting_gives_the_authorization_back(site: Site, app: App, browser: httpx.Client) -> None:
    config = app.authorized(site.user, browser)
    assert site.user.delete(f"{CONFIGS}/{config}").status_code == 204
    rows = app.dropbox.emulator.store.run("SELECT count(*) FROM refresh_tokens WHERE app = ?", app.key)
    assert rows == [(0,)]
    assert site.core.vault.get(config) == {}


def test_s22_no_answer_holds_a_token_or_a_secret(site: Site, app: App, browser: httpx.Client) -> None:
    config = app.authorized(site.user, browser)
    site.user.post(f"{CONFIGS}/{config}/test")
    hidden = [app.secret, *app.dropbox.emulator.accounts.tokens()]
    for route in (CONFIGS, f"{CONFIGS}/{config}", f"/api/v1/audit/storage-config/{config}"):
        text = site.user.get(route).text
        assert [one for one in hidden if one in text] == []
