"""Dropbox and Google Drive from the first key to the delivered file, through the consent page (S01, S21–S28, S45)."""

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
from application.commands.accounts import create_user
from tests.emulators.dropbox import RunningDropbox
from tests.emulators.google_drive import RunningDrive
from tests.integration.api.deliveries import create, observe, story
from tests.integration.api.test_own_ingest import is_problem
from tests.integration.api.test_sessions import log_in
from tests.records import fits_bytes, new_name
from tests.site import CAUSE, Site, eventually

CONFIGS = "/api/v1/storage-configs"
EMAIL = "ada@example.org"


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    """Somebody's browser: it has no token of ours."""
    with httpx.Client(timeout=20, trust_env=False) as client:
        yield client


class App:
    """An app at a provider and the account that will authorize it."""

    provider = ""
    path = ""
    fields = ("", "")
    page = ""
    offline = ("", "")
    write_scope = ("", "")
    hash = ""

    def __init__(self, site: Site, emulator: Any) -> None:
        self.site, self.emulated = site, emulator
        self.accounts = emulator.emulator.accounts
        self.key, self.secret = secrets.token_hex(8), secrets.token_hex(8)
        self.redirect_uri = f"{site.url}/oauth/callback/{self.path}"
        self.register()

    def register(self) -> None:
        raise NotImplementedError

    def add_account(self, email: str) -> None:
        self.accounts.register_account(email)

    def arrived(self, path: str) -> bytes:
        raise NotImplementedError

    def grants(self) -> int:
        raise NotImplementedError

    def config(self, client: httpx.Client, **changes: Any) -> str:
        credentials = dict(zip(self.fields, (self.key, self.secret), strict=True))
        card = create(client, {"provider": self.provider, "display_name": "My <b>Cloud</b>", "credentials": credentials,
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


class DropboxApp(App):
    provider, path, fields = "dropbox", "dropbox", ("app_key", "app_secret")
    page, offline, hash = "/oauth2/authorize", ("token_access_type", "offline"), "dropbox"
    write_scope = ("files.content.write", "files.content.read")

    def register(self) -> None:
        self.add_account(EMAIL)
        self.accounts.register_app(self.key, self.secret, self.redirect_uri)

    def arrived(self, path: str) -> bytes:
        store = self.emulated.emulator.store
        entry = store.entry(self.accounts.register_account(EMAIL), path)
        return bytes(store.blob_path(entry.blob).read_bytes())

    def grants(self) -> int:
        sql = "SELECT count(*) FROM refresh_tokens WHERE app = ?"
        return int(self.emulated.emulator.store.run(sql, self.key)[0][0])


class DriveApp(App):
    provider, path, fields = "google_drive", "google-drive", ("client_id", "client_secret")
    page, offline, hash = "/o/oauth2/v2/auth", ("access_type", "offline"), "sha256"
    write_scope = ("drive.file", "drive.metadata.readonly")

    def register(self) -> None:
        self.add_account(EMAIL)
        self.accounts.register_client(self.key, self.secret, self.redirect_uri)

    def arrived(self, path: str) -> bytes:
        store = self.emulated.emulator.store
        (file,) = store.search(EMAIL, "name = ?", path.rsplit("/", 1)[1])
        return bytes(store.blob_path(file.blob).read_bytes())

    def grants(self) -> int:
        sql = "SELECT count(*) FROM refresh_tokens WHERE client = ?"
        return int(self.emulated.emulator.store.run(sql, self.key)[0][0])


@pytest.fixture(params=["dropbox", "google_drive"])
def app(request: pytest.FixtureRequest, site: Site, dropbox: RunningDropbox, drive: RunningDrive) -> App:
    return DropboxApp(site, dropbox) if request.param == "dropbox" else DriveApp(site, drive)


def test_s27_the_redirect_uri_is_shown_and_the_page_is_asked_with_state_pkce_and_offline_access(
    site: Site, app: App
) -> None:
    begun = app.begin(site.user, app.config(site.user))
    assert begun["redirect_uri"] == app.redirect_uri
    url = urlsplit(begun["authorization_url"])
    asked = dict(parse_qsl(url.query))
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{app.emulated.url}{app.page}"
    assert (asked["client_id"], asked["redirect_uri"], asked["response_type"]) == (app.key, app.redirect_uri, "code")
    assert (asked["code_challenge_method"], asked[app.offline[0]]) == ("S256", app.offline[1])
    assert len(asked["code_challenge"]) == 43
    assert len(asked["state"]) >= 43
    assert asked["state"] not in app.begin(site.user, app.config(site.user))["authorization_url"]


def test_s27_after_consent_the_account_is_shown_and_what_waited_is_delivered(
    site: Site, app: App, browser: httpx.Client
) -> None:
    config = app.config(site.admin, path_template="$TARGET")
    card = site.admin.get(f"{CONFIGS}/{config}").json()
    assert (card["needs_authorization"], card["credentials_set"]) == (True, [app.fields[1]])
    number = observe(site.admin, config)
    name, data = new_name(), fits_bytes()
    site.ingest(data, f"{name}.fits", observation=str(number))
    site.settle()
    (waiting,) = site.admin.get("/api/v1/transfers", params={"observation": number}).json()["results"]
    eventually(lambda: site.admin.get(f"/api/v1/transfers/{waiting['id']}").json()["held"], "it wasn't held")

    page = app.agree(browser, app.begin(site.admin, config))
    assert page.status_code == 200
    assert EMAIL in page.text
    assert "<b>Cloud" not in page.text
    site.settle()
    card = site.admin.get(f"{CONFIGS}/{config}").json()
    assert (card["needs_authorization"], card["account"]) == (False, EMAIL)
    assert card["credentials_set"] == [app.fields[1], "refresh_token"]
    done = eventually(
        lambda: (row := site.admin.get(f"/api/v1/transfers/{waiting['id']}").json())["status"] == "completed" and row,
        "it wasn't delivered",
    )
    assert app.hash in done["verified"]
    assert app.arrived(done["destination_path"]) == data
    authorized = [one for one in story(site.admin, "storage-config", config) if one["event"].endswith("authorized")]
    assert [(one["actor"], one["via"]) for one in authorized] == [("admin", "oauth")]


def test_s29_an_authorized_destination_is_tested(site: Site, app: App, browser: httpx.Client) -> None:
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
    wrong = {"dropbox": "google-drive", "google-drive": "dropbox"}[app.path]
    other = browser.get(f"{site.url}/oauth/callback/{wrong}?{urlencode({'state': state, 'code': 'x'})}")
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


def test_s27_a_code_that_isnt_the_providers_says_what_to_check(site: Site, app: App, browser: httpx.Client) -> None:
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
    begun["authorization_url"] = begun["authorization_url"].replace(*app.write_scope)
    answer = app.agree(browser, begun)
    assert answer.status_code == 400
    assert app.write_scope[0] in answer.text


def test_s28_another_account_takes_the_place_of_the_first(site: Site, app: App, browser: httpx.Client) -> None:
    app.add_account("ben@example.org")
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
    edited = site.user.patch(f"{CONFIGS}/{config}", json={"credentials": {app.fields[1]: "another"}})
    assert edited.json()["needs_authorization"]


def test_s25_deleting_gives_the_authorization_back(site: Site, app: App, browser: httpx.Client) -> None:
    config = app.authorized(site.user, browser)
    assert site.user.delete(f"{CONFIGS}/{config}").status_code == 204
    assert app.grants() == 0
    assert site.core.vault.get(config) == {}


def test_s22_no_answer_holds_a_token_or_a_secret(site: Site, app: App, browser: httpx.Client) -> None:
    config = app.authorized(site.user, browser)
    site.user.post(f"{CONFIGS}/{config}/test")
    hidden = [app.secret, *app.accounts.tokens()]
    for route in (CONFIGS, f"{CONFIGS}/{config}", f"/api/v1/audit/storage-config/{config}"):
        text = site.user.get(route).text
        assert [one for one in hidden if one in text] == []


def test_s27_what_a_browser_has_begun_is_finished_in_that_browser_and_in_any_order(
    site: Site, app: App, browser: httpx.Client
) -> None:
    core, name = site.core, f"browser-{secrets.token_hex(4)}"
    create_user(core.log, core.passwords, core.clock, CAUSE, name, password="a long password")
    own = site.client()
    assert log_in(own, name, password="a long password").status_code == 302
    own.headers["X-CSRFToken"] = own.cookies["csrftoken"]
    first, second = (app.begin(own, app.config(own)) for _ in range(2))
    elsewhere = app.agree(browser, first)
    assert elsewhere.status_code == 400
    assert "another browser" in elsewhere.text
    again = app.begin(own, app.config(own))
    for begun in (second, again):
        assert app.agree(own, begun).status_code == 200
