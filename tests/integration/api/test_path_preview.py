"""Where copies would land is told before a template is saved (S20), and a copy lands there."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.integration.api.deliveries import create, folder_body, observe, transfers
from tests.integration.api.test_own_ingest import is_problem
from tests.records import FUTURE, fits_bytes, new_name, record
from tests.site import PROPOSAL, Site

ROUTE = "/api/v1/path-preview"
_hours = itertools.count()


def preview(client: httpx.Client, **body: Any) -> list[dict[str, Any]]:
    answer = client.post(ROUTE, json=body)
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def later() -> str:
    """A time after all those that were given before."""
    return (datetime(2900, 1, 1) + timedelta(hours=next(_hours))).isoformat()


def newest(site: Site, **changes: Any) -> str:
    """A frame observed after all others."""
    frame: str = site.post(record(observation_date=later(), **changes))["basename"]
    return frame


def test_s20_the_newest_frames_that_one_may_see_get_their_paths_and_nothing_is_saved(site: Site) -> None:
    names = [newest(site, target_name=target, proposal_id="P/1") for target in ("", "M 31")]
    hidden = newest(site, public_date=FUTURE, proposal_id="P-OTHER")
    site.settle()
    before = site.events()
    shown = preview(site.user, destination_path="a//b/", path_template="$USER/$PROJECT/$TARGET", limit=2)
    assert shown == [
        {
            "frame": names[1],
            "filename": f"{names[1]}.fits.fz",
            "content": "raw",
            "path": f"/a/b/alice/P_1/M_31/{names[1]}.fits.fz",
        },
        {
            "frame": names[0],
            "filename": f"{names[0]}.fits.fz",
            "content": "raw",
            "path": f"/a/b/alice/P_1/no_target/{names[0]}.fits.fz",
        },
    ]
    assert [row["frame"] for row in preview(site.admin, limit=1)] == [hidden]
    assert site.events() == before


def test_s20_each_kind_of_file_is_shown_as_the_content_setting_wants_it(site: Site) -> None:
    raw, reduced = newest(site), newest(site, reduction_level=91)
    site.settle()
    paths = {
        content: [row["path"] for row in preview(site.user, file_content=content, limit=2)]
        for content in ("raw", "calibrated", "raw_and_calibrated")
    }
    assert paths["raw"][0] == f"/{raw}.fits.fz"
    assert paths["calibrated"][0] == f"/{reduced}_calibrated.fits.fz"
    assert paths["raw_and_calibrated"] == [f"/{reduced}_calibrated.fits.fz", f"/{raw}.fits.fz"]


def test_s20_a_draft_wins_over_the_saved_configuration_that_it_is_of(site: Site) -> None:
    frame = newest(site)
    config = create(site.user, folder_body(site, destination_path="/saved", path_template="old"))["id"]
    site.settle()
    assert preview(site.user, storage_config=config, limit=1)[0]["path"] == f"/saved/old/{frame}.fits.fz"
    shown = preview(site.user, storage_config=config, path_template="new/$TARGET", limit=1)
    assert shown[0]["path"] == f"/saved/new/M31/{frame}.fits.fz"
    assert site.user.get(f"/api/v1/storage-configs/{config}").json()["path_template"] == "old"


def test_s20_a_submitted_observations_file_lands_where_the_preview_says(site: Site) -> None:
    body = folder_body(site, destination_path="/x", path_template="$USER/$PROJECT/$TARGET")
    number = observe(site.user, create(site.user, body)["id"], project="Survey of Galaxies", target="NGC 1/2")
    name = new_name()
    site.ingest(fits_bytes(BLKUID=number, DATE_OBS=later(), PROPID=PROPOSAL), f"{name}.fits")
    site.settle()
    draft = {"destination_path": "/x", "path_template": body["path_template"], "limit": 1}
    (asked,) = preview(site.admin, **draft)
    (sent,) = transfers(site.user, observation=number)
    assert asked["path"] == sent["destination_path"] == f"/x/alice/Survey_of_Galaxies/NGC_1_2/{name}.fits"
    stranger = site.client(site.new_user("previewing-member", proposals=(PROPOSAL,)))
    assert preview(stranger, **draft)[0]["path"] == f"/x/previewing-member/{PROPOSAL}/M31/{name}.fits"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"path_template": "$NIGHT"}, "path_template"),
        ({"destination_path": "/../x"}, "destination_path"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
    ],
)
def test_s20_what_could_not_be_saved_is_refused_with_its_field(site: Site, body: dict[str, Any], field: str) -> None:
    assert is_problem(site.user.post(ROUTE, json=body), 400)["field"] == field


def test_s20_somebody_elses_configuration_is_not_told_of(site: Site) -> None:
    theirs = create(site.admin, folder_body(site))["id"]
    is_problem(site.user.post(ROUTE, json={"storage_config": theirs}), 404)
    is_problem(site.anonymous.post(ROUTE, json={}), 401)
