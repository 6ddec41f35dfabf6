"""A person with a browser, as far as forms, cookies and links go."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

import httpx

from application.commands.accounts import change_account, create_user
from tests.site import CAUSE, Site

PASSWORD = "correct horse battery"


def browser(site: Site, name: str, **rights: bool) -> httpx.Client:
    """A new user with these flags, logged in by the form. Redirects aren't followed."""
    core = site.core
    create_user(
        core.log,
        core.passwords,
        core.clock,
        CAUSE,
        name,
        password=PASSWORD,
        is_superuser=rights.get("superuser", False),
    )
    if rights.get("staff"):
        change_account(core.log, core.clock, CAUSE, name, is_staff=True)
    site.settle()
    client = site.client()
    form = {**hidden(client.get("/api-auth/login/").text), "username": name, "password": PASSWORD, "next": "/admin/"}
    answer = client.post("/api-auth/login/", data=form)
    assert answer.status_code == 302, answer.text
    return client


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of a page's forms."""
    inputs = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', page)
    return {name: unescape(value) for name, value in inputs}


def values(page: str) -> dict[str, str]:
    """What is in the fields of a page's forms: hidden ones, texts, choices and ticked boxes."""
    parser = _Fields()
    parser.feed(page)
    return parser.found


def links(page: str) -> set[str]:
    """Where a page's links lead."""
    return {unescape(target) for target in re.findall(r'<a[^>]* href="([^"]*)"', page)}


class _Fields(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._select = ""
        self._option = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("name") or ""
        if tag == "input" and name and (given.get("type") != "checkbox" or "checked" in given):
            self.found[name] = given.get("value") or ("on" if given.get("type") == "checkbox" else "")
        elif tag == "select":
            self._select = name
        elif tag == "option":
            self._option = "selected" in given

    def handle_data(self, data: str) -> None:
        if self._select and self._option:
            self.found[self._select] = data
            self._option = False
