"""What clients that can't be installed here ask, as they ask it: the web client, the thumbnail service, the BANZAI
pipeline, and people's scripts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.postgres import fresh_database
from tests.records import fits_bytes, new_name, record, version
from tests.site import Site, running_site


@pytest.fixture(scope="module")
def site(cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with (
        fresh_database(cluster, template=template) as conninfo,
        running_site(folder, conninfo, {"PAGINATION_MAX_LIMIT": "10"}, prepared=True) as running,
    ):
        yield running


def get(site: Site, path: str, token: str | None = None, **parameters: Any) -> Any:
    """As a script does it, redirects followed."""
    headers = {"Authorization": f"Token {token or site.admin_token}"}
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(f"{site.url}{path}", params=parameters, headers=headers, timeout=20)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a02_a15_the_pipeline_finds_a_frame_by_id_and_by_name_and_fetches_it(site: Site) -> None:
    data, name = fits_bytes(), new_name()
    created = site.ingest(data, f"{name}.fits")
    frame = get(site, f"/frames/{created['id']}")
    assert frame["filename"] == f"{name}.fits"
    assert requests.get(frame["url"], timeout=20).content == data
    found = get(site, "/frames/", basename=name)
    assert [one["id"] for one in found["results"]] == [created["id"]]


def test_a33_the_thumbnail_service_counts_on_exact_counts(site: Site) -> None:
    name = new_name()
    site.post(record(basename=name))
    site.post(record(basename=f"{name}-more"))
    assert get(site, "/frames/", basename_exact=name)["count"] == 1
    site.post(record(request_id=880088, reduction_level=0))
    reduced = site.post(record(request_id=880088, reduction_level=91))
    found = get(site, "/frames/", request_id=880088, reduction_level=91)
    assert (found["count"], found["results"][0]["id"]) == (1, reduced["id"])


def test_a13_a24_the_web_client_searches_and_opens_what_it_finds(site: Site) -> None:
    related = site.post(record(target_name="webclient"))
    created = site.post(
        record(
            target_name="webclient",
            observation_date="2024-03-01T12:30:00Z",
            related_frame_filenames=[related["basename"]],
        )
    )
    for size in ("small", "large"):
        picture = record(
            basename=f"{created['basename']}-{size}", frame_basename=created["basename"], size=size,
            version_set=[version(extension=".jpg")],
        )  # fmt: skip
        assert site.admin.post("/thumbnails/", json=picture).status_code == 201
    question = {
        "start": "2024-03-01 00:00", "end": "2024-03-01 23:59", "public": "true", "covers": "POINT(10.5 10.5)",
        "target_name": "webclient", "limit": 20, "offset": 0, "ordering": "-observation_date", "proposal_id": "",
        "include_related_frames": "false",
    }  # fmt: skip
    found = get(site, "/frames/", **question)
    assert [one["id"] for one in found["results"]] == [created["id"]]
    route = f"/frames/{created['id']}/"
    assert [one["id"] for one in get(site, f"{route}related/")] == [related["id"]]
    assert get(site, f"{route}headers/")["data"]["OBJECT"] == "M31"
    assert len(get(site, route, include_thumbnails="true")["thumbnails"]) == 2
    assert get(site, "/profile/", site.user_token)["username"] == "alice"


def test_a19_a31_scripts_ask_by_the_old_names_for_more_than_they_get_and_go_on(site: Site) -> None:
    ids = {site.post(record(proposal_id="P-SCRIPT", reduction_level=91))["id"] for _ in range(25)}
    site.post(record(proposal_id="P-SCRIPT", reduction_level=0))
    seen: list[int] = []
    question = {
        "PROPID": "P-SCRIPT", "RLEVEL": "91", "OBSTYPE": "EXPOSE", "EXPTIME": 10, "DAY_OBS": "2024-01-01",
        "limit": 10_000,
    }  # fmt: skip
    while True:
        page = get(site, "/frames/", **question, offset=len(seen))
        seen += [one["id"] for one in page["results"]]
        if not page["next"]:
            break
    assert len(seen) == 25
    assert set(seen) == ids
    assert {"PROPID", "RLEVEL", "OBSTYPE", "EXPTIME", "DAY_OBS", "url", "filename"} <= page["results"][0].keys()
