"""What the unmodified OCS ingester makes of refusals and outages: it knows when to give up and when to try again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.conformance.conftest import COMBINATIONS, REAL, Feeding
from tests.conformance.ingester import Ingester, IngesterError, running_ingester
from tests.conformance.meddling import Headers, Meddler
from tests.conformance.test_ocs_ingester import METADATA, new_file
from tests.site import eventually

GIVE_UP, TRY_AGAIN, KNOWN = "DoNotRetryError", "BackoffRetryError", "NonFatalDoNotRetryError"
DIRECTORY = [pair for pair in COMBINATIONS if pair[1] == "directory"]
BUCKET = [pair for pair in COMBINATIONS if pair[1] == "s3"]


def raised(client: Ingester, file: Path, **arguments: Any) -> tuple[str, str]:
    """The class and the message of what the client raises."""
    with pytest.raises(IngesterError) as refusal:
        client.ingest(file, **arguments)
    return refusal.value.kind, refusal.value.message


@pytest.fixture
def other_client(feeding: Feeding) -> Iterator[Any]:
    """Starts further clients with some settings changed."""
    with ExitStack() as stack:

        def start(**changes: str) -> Ingester:
            return stack.enter_context(running_ingester(feeding.version, {**feeding.environment, **changes}))

        yield start


@pytest.mark.parametrize("feeding", DIRECTORY, indirect=True, ids=str)
def test_f05_what_the_client_refuses_itself_is_given_up(feeding: Feeding, tmp_path: Path) -> None:
    head = feeding.site.events()
    assert raised(feeding.client, new_file(tmp_path, 1, SITEID=None))[0] == GIVE_UP
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    assert raised(feeding.client, text) == (GIVE_UP, "file extension .txt is not a currently supported file type")
    assert feeding.site.events() == head


@pytest.mark.parametrize("feeding", DIRECTORY, indirect=True, ids=str)
def test_f05_a_refusal_of_the_archive_is_given_up(feeding: Feeding, tmp_path: Path) -> None:
    file, site = new_file(tmp_path), feeding.site
    for token, status in (("wrong", 401), (site.user_token, 403)):
        kind, message = raised(feeding.client, file, auth_token=token)
        assert (kind, message[:3]) == (GIVE_UP, str(status))
    kind, message = raised(feeding.client, new_file(tmp_path, 2, OBSTYPE="HOLIDAY"))
    assert (kind, message[:3]) == (GIVE_UP, "400")
    kind, message = raised(feeding.client, file, api_root=f"{site.url}/nowhere/")
    assert (kind, message[:3]) == (GIVE_UP, "404")
    feeding.client.ingest(file)


@pytest.mark.parametrize("feeding", DIRECTORY, indirect=True, ids=str)
def test_f05_an_archive_that_cannot_be_reached_is_an_error_of_its_own(feeding: Feeding, tmp_path: Path) -> None:
    kind, _ = raised(feeding.client, new_file(tmp_path), api_root="http://127.0.0.1:9/")
    assert kind == "ConnectionError"


@contextmanager
def database_away(conninfo: str) -> Iterator[None]:
    """Nobody gets into the database, and who was in is thrown out."""
    name = conninfo_to_dict(conninfo)["dbname"]
    with psycopg.connect(conninfo, dbname="postgres", autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        try:
            yield
        finally:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())


@pytest.mark.parametrize("feeding", DIRECTORY, indirect=True, ids=str)
def test_f05_an_archive_without_its_database_is_tried_again_and_then_takes_the_file(
    feeding: Feeding, tmp_path: Path
) -> None:
    file = new_file(tmp_path)
    with database_away(feeding.site.core.conninfo):
        kind, message = raised(feeding.client, file)
        assert (kind, message[:3]) == (TRY_AGAIN, "503")

    def recovered() -> bool:
        return feeding.site.anonymous.get("/readyz").status_code == 200

    eventually(recovered, "the archive didn't recover")
    feeding.client.ingest(file)
    assert feeding.client.call("frame_exists", file) is True


@pytest.mark.parametrize("feeding", DIRECTORY, indirect=True, ids=str)
def test_c13_f05_a_lost_reply_does_no_harm(feeding: Feeding, tmp_path: Path) -> None:
    file = new_file(tmp_path)
    with Meddler(feeding.site.url).running() as meddler:
        meddler.spoil = lambda method, path, headers: None if method == "POST" else headers
        kind, _ = raised(feeding.client, file, api_root=f"{meddler.url}/")
        assert kind == "ConnectionError"
        meddler.spoil = lambda method, path, headers: headers
        kind, message = raised(feeding.client, file, api_root=f"{meddler.url}/")
    assert (kind, message) == (KNOWN, "Version with this md5 already exists")
    md5 = hashlib.md5(file.read_bytes()).hexdigest()
    found = feeding.site.admin.get("/versions/", params={"md5": md5}).json()
    assert found["count"] == 1
    kept = feeding.site.anonymous.get(found["results"][0]["url"])
    assert hashlib.md5(kept.content).hexdigest() == md5


@pytest.mark.parametrize("feeding", BUCKET, indirect=True, ids=str)
def test_f09_bytes_that_changed_on_the_way_to_the_store_are_sent_again(
    feeding: Feeding, tmp_path: Path, other_client: Any
) -> None:
    file = new_file(tmp_path)

    def wrong_md5(method: str, path: str, headers: Headers) -> Headers:
        if method != "PUT":
            return headers
        return [(name, f'"{"0" * 32}"' if name.lower() == "etag" else value) for name, value in headers]

    with Meddler(feeding.environment["S3_ENDPOINT_URL"]).running() as meddler:
        client = other_client(S3_ENDPOINT_URL=meddler.url)
        meddler.spoil = wrong_md5
        assert raised(client, file) == (TRY_AGAIN, "S3 md5 did not match ours")
        assert feeding.client.call("frame_exists", file) is False
        meddler.spoil = lambda method, path, headers: headers
        sent = client.ingest(file)
    assert feeding.client.call("frame_exists", file) is True
    kept = feeding.site.anonymous.get(sent["url"], follow_redirects=True)
    assert kept.content == file.read_bytes(), "of the two versions in the bucket it is the good one"


@pytest.mark.parametrize("feeding", BUCKET, indirect=True, ids=str)
def test_f05_a_store_that_fails_is_tried_again(feeding: Feeding, tmp_path: Path, other_client: Any) -> None:
    client = other_client(BUCKET="no-such-bucket")
    with pytest.raises(IngesterError) as refusal:
        client.call("upload_file_to_file_store", new_file(tmp_path))
    assert refusal.value.kind == TRY_AGAIN


THUMBNAIL = {key: METADATA[key] for key in ("DATE-OBS", "DAY-OBS", "INSTRUME", "SITEID", "TELID", "PROPID", "OBSTYPE")}


def new_picture(folder: Path, frame: str, size: str) -> Path:
    file = folder / f"{frame}-{size}.jpg"
    file.write_bytes(b"\xff\xd8\xff\xe0 picture of " + str(file).encode())
    return file


@pytest.mark.parametrize("feeding", [pair for pair in COMBINATIONS if pair[0] == "3.2"], indirect=True, ids=str)
def test_f07_g05_thumbnails_are_stored_listed_and_downloaded(feeding: Feeding, tmp_path: Path) -> None:
    site, file = feeding.site, new_file(tmp_path)
    frame = feeding.client.ingest(file)["frameid"]
    basename = file.name.split(".")[0]
    for size in ("small", "large"):
        picture = new_picture(tmp_path, basename, size)
        metadata = {**THUMBNAIL, "frame_basename": basename}
        for _ in range(2):  # the client asks for versions only, so it sends a picture again and again
            sent = feeding.client.ingest(picture, file_metadata=metadata, is_thumbnail=True, thumbnail_size=size)
            assert sent["thumbnail_id"] is None, "as with the original, whose answer has no id"
    shown = site.admin.get(f"/frames/{frame}/?include_thumbnails=true").json()["thumbnails"]
    assert {one["size"] for one in shown} == {"small", "large"}
    listed = site.admin.get("/thumbnails/", params={"frame_basename": basename}).json()
    assert listed["count"] == 2
    for one in listed["results"]:
        kept = site.anonymous.get(one["url"], follow_redirects=True)
        assert kept.content == (tmp_path / f"{one['basename']}{one['extension']}").read_bytes()
    no_size = new_picture(tmp_path, basename, "none")
    assert raised(feeding.client, no_size, file_metadata=metadata, is_thumbnail=True)[0] == GIVE_UP
    odd = raised(feeding.client, no_size, file_metadata=metadata, is_thumbnail=True, thumbnail_size="huge")
    assert (odd[0], odd[1][:3]) == (GIVE_UP, "400")


@pytest.mark.parametrize("feeding", [pair for pair in COMBINATIONS if pair[0] == "3.2"], indirect=True, ids=str)
def test_f07_a_thumbnail_may_come_before_its_frame(feeding: Feeding, tmp_path: Path) -> None:
    site, file = feeding.site, new_file(tmp_path)
    basename = file.name.split(".")[0]
    metadata = {**THUMBNAIL, "frame_basename": basename}
    picture = new_picture(tmp_path, basename, "small")
    feeding.client.ingest(picture, file_metadata=metadata, is_thumbnail=True, thumbnail_size="small")
    assert site.admin.get("/frames/", params={"basename_exact": basename}).json()["count"] == 0
    frame = feeding.client.ingest(file)["frameid"]
    (shown,) = site.admin.get(f"/frames/{frame}/?include_thumbnails=true").json()["thumbnails"]
    assert shown["frame"] == frame


@pytest.mark.skipif(not REAL.is_dir(), reason="the folder of real FITS files isn't there")
@pytest.mark.parametrize("feeding", [pair for pair in COMBINATIONS if pair[0] == "3.2"], indirect=True, ids=str)
def test_f07_a_real_picture_becomes_a_thumbnail(feeding: Feeding) -> None:
    (picture,) = REAL.glob("*-small.jpg")
    metadata = {**THUMBNAIL, "frame_basename": picture.name.removesuffix("-small.jpg")}
    feeding.client.ingest(picture, file_metadata=metadata, is_thumbnail=True, thumbnail_size="small")
    found = feeding.site.admin.get("/thumbnails/", params={"frame_basename": metadata["frame_basename"]}).json()
    assert [one["basename"] for one in found["results"]] == [picture.stem]
    kept = feeding.site.anonymous.get(found["results"][0]["url"], follow_redirects=True)
    assert kept.content == picture.read_bytes()
