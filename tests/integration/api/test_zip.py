"""Zip downloads: rows D03 to D08 of the contract."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.integration.api.deliveries import create, folder_body, observe
from tests.integration.api.packed_files import PIXELS, PROBLEM, packed, reduced, undecodable, unpacked_pixels
from tests.records import FUTURE, fits_bytes, new_name, record
from tests.site import PROPOSAL, Site, eventually


def zip_of(client: httpx.Client, ids: list[int], **more: Any) -> httpx.Response:
    return client.post("/frames/zip/", json={"frame_ids": ids, **more})


def opened(answer: httpx.Response) -> zipfile.ZipFile:
    assert answer.status_code == 200, answer.text
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    return archive


def names(answer: httpx.Response) -> list[str]:
    return [name.split("/", 1)[1] for name in opened(answer).namelist()]


@pytest.fixture(scope="module")
def frames(site: Site) -> list[dict[str, Any]]:
    """Three public frames, each a minute after the one before."""
    made = [
        site.ingest(fits_bytes(DATE_OBS=f"2024-01-01T00:0{minute}:00"), f"{new_name()}.fits") for minute in range(3)
    ]
    site.settle()
    return made


def test_d03_a_zip_holds_the_visible_frames_newest_first_in_a_folder_of_its_own(
    site: Site, frames: list[dict[str, Any]]
) -> None:
    before = datetime.now(UTC)
    answer = zip_of(site.anonymous, [frame["id"] for frame in frames])
    archive = opened(answer)
    folder = answer.headers["content-disposition"].removeprefix("attachment; filename=").removesuffix(".zip")
    assert folder in {f"ocs_archive_data-{day:%Y%m%d}-3" for day in (before, datetime.now(UTC))}
    assert archive.namelist() == [f"{folder}/{frame['filename']}" for frame in reversed(frames)]
    for frame in frames:
        data = archive.read(f"{folder}/{frame['filename']}")
        assert data == site.anonymous.get(frame["url"]).content
    assert answer.headers["content-type"] == "application/zip"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["set-cookie"] == "fileDownload=true; path=/"
    assert "x-frame-options" not in answer.headers


def test_d03_frames_that_the_viewer_may_not_see_are_left_out(site: Site, frames: list[dict[str, Any]]) -> None:
    hidden = site.ingest(fits_bytes(PROPID=PROPOSAL, L1PUBDAT=FUTURE), f"{new_name()}.fits")
    site.settle()
    ids = [frames[0]["id"], hidden["id"], 2_000_000_000, 99_999_999_999]
    assert names(zip_of(site.anonymous, ids)) == [frames[0]["filename"]]
    assert set(names(zip_of(site.user, ids))) == {frames[0]["filename"], hidden["filename"]}


def test_d03_nothing_visible_is_404_with_an_empty_body(site: Site) -> None:
    for ids in ([], [2_000_000_000]):
        answer = zip_of(site.anonymous, ids)
        assert (answer.status_code, answer.content) == (404, b"")


def test_d03_a_frame_without_versions_is_skipped_but_counted(site: Site, frames: list[dict[str, Any]]) -> None:
    bare = site.post(record(version_set=[]))
    site.settle()
    answer = zip_of(site.anonymous, [bare["id"], frames[1]["id"]])
    assert names(answer) == [frames[1]["filename"]]
    assert answer.headers["content-disposition"].endswith("-2.zip")
    assert zip_of(site.anonymous, [bare["id"]]).status_code == 404


def test_d03_a_file_that_the_store_lost_is_named_inside_the_zip(site: Site, frames: list[dict[str, Any]]) -> None:
    lost = site.post(record())
    site.settle()
    answer = zip_of(site.anonymous, [lost["id"], frames[2]["id"]])
    assert names(answer) == [frames[2]["filename"], "MISSING.txt"]
    archive = opened(answer)
    assert lost["filename"] in archive.read(archive.namelist()[-1]).decode()


def test_d03_a_file_that_was_delivered_and_deleted_is_named_with_its_copies_for_those_who_may_know(
    site: Site, frames: list[dict[str, Any]]
) -> None:
    config = create(site.user, folder_body(site, delete_from_server=True))
    number = observe(site.user, config["id"])
    gone = site.ingest(fits_bytes(BLKUID=number, PROPID=PROPOSAL), f"{new_name()}.fits")
    eventually(lambda: site.user.get(gone["url"]).status_code == 404, "the file is still there")
    ids = [gone["id"], frames[0]["id"]]
    for client, place in ((site.user, "'NAS'"), (site.admin, "'NAS'"), (site.anonymous, "those who had asked")):
        answer = zip_of(client, ids)
        archive = opened(answer)
        assert names(answer) == [frames[0]["filename"], "MISSING.txt"]
        note = archive.read(archive.namelist()[1]).decode()
        assert f"{gone['filename']}: They are in " in note
        assert place in note
        assert place in client.get(gone["url"]).json()["detail"]
        assert ("folder" in note) == (client is not site.anonymous), "others aren't told where"


def test_d03_a_failure_in_the_middle_breaks_the_transfer(site: Site, frames: list[dict[str, Any]]) -> None:
    frame = site.ingest(fits_bytes(shape=(3000, 3000), DATE_OBS="2024-01-01T00:00:00"), f"{new_name()}.fits")
    site.settle()
    path = next(path for path in site.files() if path.name == frame["filename"])
    body = {"frame_ids": [frame["id"]]}
    with httpx.stream("POST", f"{site.url}/frames/zip/", json=body, trust_env=False, timeout=60) as answer:
        pieces = answer.iter_raw(65536)
        got = len(next(pieces))
        with path.open("r+b") as file:
            file.truncate(9_000_000)
        with pytest.raises(httpx.RemoteProtocolError):
            got += sum(len(piece) for piece in pieces)
    assert got < int(answer.headers["content-length"])


@pytest.mark.parametrize("encoding", ["json", "form", "numbered form", "multipart"])
def test_d04_the_frames_may_be_named_in_json_and_both_forms(
    site: Site, frames: list[dict[str, Any]], encoding: str
) -> None:
    ids = [frame["id"] for frame in frames]
    numbered = {f"frame_ids[{place}]": str(id_) for place, id_ in enumerate(ids)}
    body: dict[str, Any] = {
        "json": {"json": {"frame_ids": ids}},
        "form": {"data": {"frame_ids": [str(id_) for id_ in ids]}},
        "numbered form": {"data": {**numbered, "uncompress": "false", "auth_token": ""}},
        "multipart": {"files": [("frame_ids", (None, str(id_))) for id_ in ids]},
    }[encoding]
    answer = site.anonymous.post("/frames/zip/", **body)
    assert set(names(answer)) == {frame["filename"] for frame in frames}


def test_d04_repeated_frames_are_put_in_once(site: Site, frames: list[dict[str, Any]]) -> None:
    answer = zip_of(site.anonymous, [frames[0]["id"]] * 5)
    assert names(answer) == [frames[0]["filename"]]
    assert answer.headers["content-disposition"].endswith("-1.zip")


def test_d04_thousands_of_frames_may_be_named_in_a_form(site: Site, frames: list[dict[str, Any]]) -> None:
    ids = [frames[0]["id"], *range(1_900_000_000, 1_900_003_000)]
    for body in (
        {"data": {f"frame_ids[{place}]": str(id_) for place, id_ in enumerate(ids)}},
        {"files": [(f"frame_ids[{place}]", (None, str(id_))) for place, id_ in enumerate(ids)]},
    ):
        assert names(site.anonymous.post("/frames/zip/", **body)) == [frames[0]["filename"]]


def test_d05_a_token_in_the_body_says_who_is_asking(site: Site) -> None:
    hidden = site.ingest(fits_bytes(PROPID=PROPOSAL, L1PUBDAT=FUTURE), f"{new_name()}.fits")
    site.settle()
    ids = [hidden["id"]]
    assert zip_of(site.anonymous, ids).status_code == 404
    assert names(zip_of(site.anonymous, ids, auth_token=site.user_token)) == [hidden["filename"]]
    other = site.new_user("zip-stranger")
    assert zip_of(site.user, ids, auth_token=other).status_code == 404, "it overrides the user of the request"
    form = {"frame_ids[0]": str(ids[0]), "auth_token": site.user_token, "uncompress": "true"}
    assert names(site.anonymous.post("/frames/zip/", data=form)) == [hidden["filename"]]


def test_d05_an_unknown_token_is_404(site: Site, frames: list[dict[str, Any]]) -> None:
    for token in ("unknown", "two words"):
        answer = zip_of(site.anonymous, [frames[0]["id"]], auth_token=token)
        assert (answer.status_code, answer.json()) == (404, {"detail": "No Token matches the given query."})
    assert zip_of(site.client("bad"), [frames[0]["id"]]).status_code == 401


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"frame_ids": ["This field is required."]}),
        ({"frame_ids": None}, {"frame_ids": ["This field may not be null."]}),
        ({"frame_ids": 7}, {"frame_ids": ['Expected a list of items but got type "int".']}),
        ({"frame_ids": "7"}, {"frame_ids": ['Expected a list of items but got type "str".']}),
        (
            {"frame_ids": [1, "x", 0, None, True, 1.5]},
            {
                "frame_ids": {
                    "1": ["A valid integer is required."],
                    "2": ["Ensure this value is greater than or equal to 1."],
                    "3": ["This field may not be null."],
                    "4": ["A valid integer is required."],
                    "5": ["A valid integer is required."],
                }
            },
        ),
        ({"frame_ids": [1], "uncompress": "maybe"}, {"uncompress": ["Must be a valid boolean."]}),
        ({"frame_ids": [1], "catalog_only": []}, {"catalog_only": ["Must be a valid boolean."]}),
        ({"frame_ids": [1], "auth_token": ""}, {"auth_token": ["This field may not be blank."]}),
        ([1], {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
    ],
)
def test_d06_a_body_that_cannot_be_right_is_refused_field_by_field(site: Site, body: Any, errors: Any) -> None:
    answer = site.anonymous.post("/frames/zip/", json=body)
    assert (answer.status_code, answer.json()) == (400, errors)


def test_d06_malformed_and_unknown_bodies_are_refused(site: Site) -> None:
    answer = site.anonymous.post("/frames/zip/", content=b"{", headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("JSON parse error - ")
    answer = site.anonymous.post("/frames/zip/", content=b"x", headers={"content-type": "text/csv"})
    assert (answer.status_code, answer.json()) == (415, {"detail": 'Unsupported media type "text/csv" in request.'})
    assert site.anonymous.get("/frames/zip/").status_code == 405


def test_d06_at_most_ten_frames_are_unpacked(site: Site) -> None:
    answer = zip_of(site.anonymous, list(range(1, 12)), uncompress=True)
    sentence = (
        "A maximum of 10 frames can be downloaded with the uncompress flag. Please try again with fewer frame_ids."
    )
    assert (answer.status_code, answer.json()) == (400, {"non_field_errors": [sentence]})
    assert zip_of(site.anonymous, list(range(1_900_000_000, 1_900_000_010)), uncompress=True).status_code == 404


def test_d07_uncompress_unpacks_packed_files_and_leaves_the_others(site: Site, frames: list[dict[str, Any]]) -> None:
    frame = site.ingest(packed(), f"{new_name()}.fits.fz")
    site.settle()
    archive = opened(zip_of(site.anonymous, [frame["id"], frames[0]["id"]], uncompress=True))
    found = {name.split("/")[1]: archive.read(name) for name in archive.namelist()}
    assert set(found) == {f"{frame['basename']}.fits", frames[0]["filename"]}
    assert (unpacked_pixels(found[f"{frame['basename']}.fits"]) == PIXELS).all()
    plain = opened(zip_of(site.anonymous, [frame["id"]]))
    assert plain.namelist()[0].endswith(".fits.fz")


def test_d07_a_file_that_cannot_be_unpacked_is_500_with_the_usual_sentence(site: Site) -> None:
    frame = site.ingest(undecodable(), f"{new_name()}.fits.fz")
    site.settle()
    answer = zip_of(site.anonymous, [frame["id"]], uncompress=True)
    assert (answer.status_code, answer.json()) == (500, {"detail": PROBLEM})
    assert names(zip_of(site.anonymous, [frame["id"]])) == [frame["filename"]]


def test_d08_catalog_only_takes_the_catalogue_of_reduced_exposures_and_all_of_the_rest(site: Site) -> None:
    with_table = site.ingest(reduced(), f"{new_name('e91')}.fits.fz")
    without = site.ingest(reduced(catalogue=False), f"{new_name('e91')}.fits.fz")
    raw = site.ingest(packed(), f"{new_name()}.fits.fz")
    site.settle()
    ids = [frame["id"] for frame in (with_table, without, raw)]
    answer = zip_of(site.anonymous, ids, catalog_only=True)
    assert set(names(answer)) == {f"{with_table['basename']}-catalog.fits", raw["filename"]}
    assert zip_of(site.anonymous, [without["id"]], catalog_only=True).status_code == 404
    both = zip_of(site.anonymous, ids, catalog_only=True, uncompress=True)
    assert set(names(both)) == {f"{frame['basename']}.fits" for frame in (with_table, without, raw)}
