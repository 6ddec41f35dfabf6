"""The OpenAPI documents as pages to read, without scripts and without the internet (row A42)."""

from __future__ import annotations

import re

import pytest

from tests.site import Site

PAGES = {"/redoc/": "/openapi/", "/redoc/own/": "/api/v1/openapi.json"}


@pytest.mark.parametrize("route", PAGES)
def test_a42_the_page_tells_of_every_operation_and_parameter(site: Site, route: str) -> None:
    answer = site.anonymous.get(route, headers={"Accept": "text/html"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    document = site.anonymous.get(PAGES[route]).json()
    for path, methods in document["paths"].items():
        assert f"<code>{path}</code>" in answer.text
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in answer.text
            for parameter in operation.get("parameters", []):
                assert f"<code>{parameter['name']}</code>" in answer.text
    for name in document["components"]["schemas"]:
        assert f'id="schema-{name}"' in answer.text


@pytest.mark.parametrize("route", PAGES)
def test_a42_the_page_needs_nothing_from_elsewhere(site: Site, route: str) -> None:
    answer = site.anonymous.get(route)
    assert answer.headers["content-security-policy"] == "default-src 'self'; style-src 'self'"
    assert not re.search(r"<script|<style|style=|<iframe|\son\w+=", answer.text)
    assert set(re.findall(r'(?:src|<link[^>]+href)="([^"]*)"', answer.text)) == {"/admin/style.css"}
    assert site.anonymous.get("/admin/style.css").headers["content-type"].startswith("text/css")


@pytest.mark.parametrize("route", PAGES)
def test_a42_every_link_within_the_page_leads_somewhere(site: Site, route: str) -> None:
    text = site.anonymous.get(route).text
    anchors = set(re.findall(r'id="([^"]*)"', text))
    assert "`" not in text
    assert "&lt;code" not in text
    assert set(re.findall(r'href="#([^"]*)"', text)) <= anchors
