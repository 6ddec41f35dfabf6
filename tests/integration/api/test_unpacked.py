"""Unpacked files and catalogues, one at a time: rows B12, D10 and D11 of the contract."""

from __future__ import annotations

import io
from typing import Any

import httpx
import numpy as np
import pytest
from astropy.io import fits

from tests.integration.api.packed_files import PIXELS, PROBLEM, packed, reduced, undecodable, unpacked_pixels
from tests.records import FUTURE, fits_bytes, new_name, record
from tests.site import PROPOSAL, Site

ROUTES = ("/frame-funpack/{}/funpack/", "/frame-catalog/{}/catalog/")


@pytest.fixture(scope="module")
def own(site: Site) -> dict[str, Any]:
    """A reduced frame of the ordinary user's proposal."""
    frame = site.ingest(reduced(PROPID=PROPOSAL, L1PUBDAT=FUTURE), f"{new_name('e91')}.fits.fz")
    site.settle()
    return frame


@pytest.mark.parametrize("route", ROUTES)
def test_b12_proprietary_bytes_are_404_for_those_who_may_not_see_the_frame(
    site: Site, own: dict[str, Any], route: str
) -> None:
    stranger = site.client(site.new_user(f"stranger-{route[7:10]}"))
    for client in (site.anonymous, stranger):
        answer = client.get(route.format(own["id"]))
        assert (answer.status_code, answer.json()) == (404, {"detail": "No Frame matches the given query."})
    for client in (site.user, site.admin):
        assert client.get(route.format(own["id"])).status_code == 200


def test_b12_a_download_address_without_its_signature_is_404_for_those_who_may_not_see_the_frame(
    site: Site, own: dict[str, Any]
) -> None:
    link = httpx.URL(site.user.get(f"/frames/{own['id']}/").json()["url"])
    address = str(link.copy_with(query=None))
    assert site.anonymous.get(address).status_code == 404
    assert site.user.get(address).status_code == 200
    assert site.anonymous.get(str(link)).status_code == 200, "whoever holds the signature may"
    assert site.anonymous.get(f"{address}?signature=0&expires=99999999999").status_code == 403


@pytest.mark.parametrize("route", ROUTES)
def test_b12_a_signature_of_another_file_opens_nothing(site: Site, own: dict[str, Any], route: str) -> None:
    other = site.ingest(packed(), f"{new_name()}.fits.fz")
    query = httpx.URL(other["url"]).query.decode()
    assert site.anonymous.get(f"{route.format(own['id'])}?{query}").status_code == 403
    query = httpx.URL(site.user.get(f"/frames/{own['id']}/").json()["url"]).query.decode()
    assert site.anonymous.get(f"{route.format(own['id'])}?{query}").status_code == 200


def test_d10_funpack_gives_the_unpacked_bytes_and_their_length(site: Site) -> None:
    frame = site.ingest(packed(), f"{new_name()}.fits.fz")
    site.settle()
    answer = site.anonymous.get(f"/frame-funpack/{frame['id']}/funpack/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/octet-stream"
    assert "content-disposition" not in answer.headers
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert (unpacked_pixels(answer.content) == PIXELS).all()


def test_d10_a_file_that_isnt_packed_comes_as_it_is(site: Site) -> None:
    data = fits_bytes()
    frame = site.ingest(data, f"{new_name()}.fits")
    site.settle()
    assert site.anonymous.get(f"/frame-funpack/{frame['id']}/funpack/").content == data


def test_d10_failures_have_the_contracts_words(site: Site) -> None:
    frame = site.ingest(undecodable(), f"{new_name()}.fits.fz")
    lost, bare = site.post(record()), site.post(record(version_set=[]))
    site.settle()
    answer = site.anonymous.get(f"/frame-funpack/{frame['id']}/funpack/")
    assert (answer.status_code, answer.json()) == (500, {"detail": PROBLEM})
    assert site.anonymous.get(f"/frame-funpack/{lost['id']}/funpack/").status_code == 404
    for unknown in (bare["id"], 2_000_000_000):
        answer = site.anonymous.get(f"/frame-funpack/{unknown}/funpack/")
        assert (answer.status_code, answer.json()) == (404, {"detail": "No Frame matches the given query."})
    for route in ("/frame-funpack/x/funpack/", "/frame-funpack/99999999999/funpack/", "/frame-funpack/"):
        assert (site.anonymous.get(route).status_code) == 404


def test_d11_a_catalogue_is_the_header_of_the_image_and_the_table(site: Site) -> None:
    frame = site.ingest(reduced(OBJECT="M84"), f"{new_name('e91')}.fits.fz")
    site.settle()
    answer = site.anonymous.get(f"/frame-catalog/{frame['id']}/catalog/")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == f"attachment; filename={frame['basename']}-catalog.fits"
    assert int(answer.headers["content-length"]) == len(answer.content)
    with fits.open(io.BytesIO(answer.content)) as found:
        found.verify("exception")
        primary, table = found
        assert (primary.header["OBJECT"], primary.header["EXTNAME"], primary.data) == ("M84", "SCI", None)
        assert table.name == "CAT"
        assert np.array_equal(table.data["flux"], np.arange(5.0) * 10)


def test_d11_a_file_without_a_catalogue_is_500(site: Site) -> None:
    frame = site.ingest(reduced(catalogue=False), f"{new_name('e91')}.fits.fz")
    site.settle()
    answer = site.anonymous.get(f"/frame-catalog/{frame['id']}/catalog/")
    assert (answer.status_code, answer.json()) == (500, {"detail": PROBLEM})
