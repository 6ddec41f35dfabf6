"""`POST /api/v1/ingest` with metadata: files that don't say themselves what they are."""

from __future__ import annotations

import hashlib
import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.postgres import fresh_database
from tests.records import PAST, fits_bytes, new_name
from tests.site import Site, running_site

METADATA: dict[str, Any] = {
    "PROPID": "P-PUBLIC", "DATE-OBS": "2024-01-01T03:04:05", "DAY-OBS": "20240101", "INSTRUME": "nres01",
    "SITEID": "tst", "TELID": "1m0a", "OBSTYPE": "SPECTRUM", "BLKUID": "0000004711", "RLEVEL": 92, "OBJECT": "M31",
    "EXPTIME": 30.5, "L1PUBDAT": PAST, "L1IDARC": "arc.fits.fz", "SEEING": None, "GUIDED": True,
}  # fmt: skip
OF_FRAME = {key: METADATA[key] for key in ("DATE-OBS", "DAY-OBS", "INSTRUME", "SITEID", "TELID", "L1PUBDAT")}


def send(site: Site, data: bytes, filename: str, metadata: Any = METADATA) -> httpx.Response:
    text = metadata if isinstance(metadata, str) else json.dumps(metadata)
    return site.admin.post("/api/v1/ingest", files={"file": (filename, data)}, data={"metadata": text})


def some_bytes(kind: bytes = b"%PDF-1.4 ") -> bytes:
    return kind + secrets.token_bytes(40)


@pytest.mark.parametrize("extension", [".pdf", ".jpg", ".jpeg"])
def test_g05_a_file_without_headers_becomes_a_frame_by_its_metadata(site: Site, extension: str) -> None:
    data, name = some_bytes(), new_name("e92-summary")
    answer = send(site, data, f"{name}{extension}")
    assert answer.status_code == 201, answer.text
    frame = answer.json()["frame"]
    assert frame == site.admin.get(f"/frames/{frame['id']}/").json()
    expected = {
        "basename": name, "filename": f"{name}{extension}", "observation_id": 4711, "reduction_level": 92,
        "observation_day": "2024-01-01", "configuration_type": "SPECTRUM", "exposure_time": 30.5,
        "public_date": PAST, "target_name": "M31",
    }  # fmt: skip
    assert {key: frame[key] for key in expected} == expected
    headers = site.admin.get(f"/frames/{frame['id']}/headers/").json()["data"]
    assert headers == {**METADATA, "L1IDARC": "arc"}
    assert site.anonymous.get(frame["url"]).content == data
    (version,) = frame["version_set"]
    assert version["md5"] == hashlib.md5(data).hexdigest()
    assert send(site, data, f"{new_name()}{extension}").status_code == 409


def test_g05_metadata_win_over_the_headers_of_a_fits_file(site: Site) -> None:
    data = fits_bytes(SITEID="tst", OBJECT="M31", drop=("BLKUID",))
    answer = send(site, data, f"{new_name()}.fits", {"BLKUID": 5, "OBJECT": "M32"})
    frame = answer.json()["frame"]
    assert (frame["observation_id"], frame["target_name"], frame["site_id"]) == (5, "M32", "tst")


def test_g05_a_fits_file_must_be_one_whatever_is_said_of_it(site: Site) -> None:
    answer = send(site, b"no FITS at all", f"{new_name()}.fits")
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("metadata", "word"),
    [
        ("{", "JSON"),
        ("[]", "object"),
        ("5", "object"),
        ('{"A": [1]}', "metadata"),
        ('{"A": {"B": 1}}', "metadata"),
        ('{"A": 1e999}', "metadata"),
        ('{"A": NaN}', "metadata"),
        ('{"": 1}', "key"),
        ('{" ": 1}', "key"),
        (json.dumps({"K" * 81: 1}), "key"),
        ('{"A\\u0007": 1}', "key"),
        ('{"A": "x\\u0000"}', "null character"),
        ('{"A\\u0000": 1}', "key"),
        ('{"A": "\\ud800"}', "metadata"),
        ('{"A":' * 5000 + "1" + "}" * 5000, "metadata"),
        (json.dumps({"A": "x" * 300_000}), "too long"),
    ],
)
def test_g05_metadata_that_cannot_be_used_are_refused_in_a_sentence(site: Site, metadata: str, word: str) -> None:
    events, files = site.events(), site.files()
    answer = send(site, some_bytes(), f"{new_name()}.pdf", metadata)
    assert answer.status_code == 400, answer.text
    assert word in answer.json()["detail"]
    assert (site.events(), site.files()) == (events, files)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"BLKUID": None}, None),
        ({"BLKUID": 10**400}, None),
        ({"DATE-OBS": "soon"}, "DATE-OBS"),
        ({"DAY-OBS": 5}, "DAY-OBS"),
        ({"DATE-OBS": True}, "DATE-OBS"),
        ({"RLEVEL": 1e30}, "RLEVEL"),
        ({"EXPTIME": "long"}, "EXPTIME"),
        ({"SITEID": "../.."}, None),
        ({"SITEID": "", "INSTRUME": ""}, None),
    ],
)
def test_g05_odd_values_are_refused_by_name_or_harmless(site: Site, changes: dict[str, Any], word: str | None) -> None:
    answer = send(site, some_bytes(), f"{new_name()}.pdf", {**METADATA, **changes})
    assert answer.status_code == (422 if word else 201), answer.text
    if word:
        assert word in answer.json()["detail"]
    root = (site.core.settings.data / "files").resolve()
    assert all(path.resolve().is_relative_to(root) for path in site.files())
    assert not site.failures()


def test_g05_what_is_missing_is_named(site: Site) -> None:
    metadata = {key: value for key, value in METADATA.items() if key not in ("SITEID", "BLKUID")}
    for given in (metadata, ""):
        answer = send(site, some_bytes(), f"{new_name()}.pdf", given)
        assert answer.status_code == 422
    assert "required headers PROPID" in answer.json()["detail"]


def picture_of(frame: str, size: str = "small") -> dict[str, Any]:
    return {**OF_FRAME, "frame_basename": frame, "size": size}


def test_g05_f07_a_picture_that_names_its_frame_becomes_its_thumbnail(site: Site) -> None:
    frame, data = site.ingest(fits_bytes(), f"{new_name()}.fits"), some_bytes(b"\xff\xd8\xff")
    metadata = picture_of(frame["basename"])
    answer = send(site, data, f"{frame['basename']}-small.jpg", metadata)
    assert answer.status_code == 201, answer.text
    assert answer.json()["frame"]["id"] == frame["id"]
    thumbnail = answer.json()["thumbnail"]
    assert (thumbnail["frame"], thumbnail["size"], thumbnail["extension"]) == (frame["id"], "small", ".jpg")
    assert site.anonymous.get(thumbnail["url"]).content == data
    (shown,) = site.admin.get(f"/frames/{frame['id']}/?include_thumbnails=true").json()["thumbnails"]
    assert shown["id"] == thumbnail["id"]
    events, files = site.events(), site.files()
    again = send(site, data, f"{frame['basename']}-small.jpg", metadata)
    assert again.json()["thumbnail"]["id"] == thumbnail["id"]
    assert (site.events(), site.files()) == (events, files), "again the same is nothing new"
    other = some_bytes(b"\xff\xd8\xff")
    replaced = send(site, other, f"{frame['basename']}-small.jpg", metadata).json()["thumbnail"]
    assert replaced["id"] == thumbnail["id"]
    assert site.anonymous.get(replaced["url"]).content == other


def test_g05_a_thumbnail_may_come_before_its_frame(site: Site) -> None:
    name = new_name()
    answer = send(site, some_bytes(b"\xff\xd8"), f"{name}-large.jpeg", picture_of(name, "large"))
    assert answer.status_code == 201, answer.text
    assert site.admin.get("/frames/", params={"basename_exact": name}).json()["count"] == 0
    frame = site.ingest(fits_bytes(), f"{name}.fits")
    assert frame["id"] == answer.json()["thumbnail"]["frame"]
    assert frame["target_name"] == "M31", "the file says more of it than its picture"


def test_g05_a_thumbnail_of_an_unknown_size_is_refused(site: Site) -> None:
    files = site.files()
    answer = send(site, some_bytes(), f"{new_name()}-x.jpg", picture_of(new_name(), "huge"))
    assert answer.status_code == 422
    assert "isn't one of small, medium, large" in answer.json()["detail"]
    assert site.files() == files


def test_g05_a_picture_and_the_thumbnail_with_its_bytes_do_not_share_a_file(site: Site) -> None:
    data, name = some_bytes(b"\xff\xd8"), new_name()
    thumbnail = send(site, data, f"{name}-s.jpg", picture_of(name)).json()["thumbnail"]
    frame = send(site, data, f"{name}-s.jpg").json()["frame"]
    assert site.admin.delete(f"/thumbnails/{thumbnail['id']}/").status_code == 204
    assert site.anonymous.get(frame["url"]).content == data


def test_g05_many_at_once_all_arrive(site: Site) -> None:
    name = new_name()
    pictures = [(some_bytes(b"\xff\xd8"), f"{name}-{number}.jpg", picture_of(name)) for number in range(6)]
    sheets = [(some_bytes(), f"{new_name()}.pdf", METADATA) for _ in range(6)]
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda one: send(site, *one), [*pictures, *sheets]))
    assert [answer.status_code for answer in answers] == [201] * 12
    assert site.admin.get("/thumbnails/", params={"frame_basename": name}).json()["count"] == 6


def test_p03_any_extension_is_archived_where_the_operator_says_so(
    cluster: str, template: str, tmp_path: Path, site: Site
) -> None:
    overrides = "{'.txt': 'archive_file_input_classes.PtrBaseFileClass', '*': 'ocs_archive.input.file.DataFile'}"
    with (
        fresh_database(cluster, template=template) as conninfo,
        running_site(tmp_path, conninfo, {"FILETYPE_MAPPING_OVERRIDES": overrides}, prepared=True) as open_site,
    ):
        for extension in (".txt", ".png", ".fits.bz2", ".CAT"):
            data = some_bytes()
            frame = send(open_site, data, f"{new_name()}{extension}").json()["frame"]
            assert open_site.anonymous.get(frame["url"]).content == data
            assert frame["filename"].endswith(extension)
        assert not open_site.failures()
    refused = send(site, some_bytes(), f"{new_name()}.txt")
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:starferry:InvalidFile")


def test_g05_only_superusers_send_metadata(site: Site) -> None:
    for client, status in ((site.user, 403), (site.anonymous, 401)):
        files = {"file": ("x.pdf", some_bytes())}
        answer = client.post("/api/v1/ingest", files=files, data={"metadata": json.dumps(METADATA)})
        assert answer.status_code == status
