"""An archive of the OCS is taken over: ids, times, headers, links, users; again; whatever stands in the way."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from api.cli import cli
from domain.frames import stream_of
from tests.emulators.ocs_archive import running_archive
from tests.original_archive import Original, django_hash, ewkb
from tests.postgres import fresh_database
from tests.records import FUTURE, record, version
from tests.site import Site, eventually, running_site

ROOT = Path(__file__).resolve().parents[2]
ADA, PORTAL, BOB = "a" * 40, "b" * 40, "c" * 40
EARLY, LATE = "2015-12-21T15:48:04.250001Z", "2017-02-03T04:05:06Z"


@pytest.fixture
def original(cluster: str) -> Iterator[Original]:
    """An empty original."""
    with fresh_database(cluster) as conninfo:
        yield Original(conninfo)


@pytest.fixture
def site(cluster: str, template: str, tmp_path: Path) -> Iterator[Site]:
    with (
        fresh_database(cluster, template=template) as conninfo,
        running_site(tmp_path / "site", conninfo, prepared=True) as running,
    ):
        yield running


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody ingests beside these imports but where a test says so."""
    monkeypatch.setattr("api.cli.import_ocs.SETTLE_SECONDS", 0.0)


def imported(site: Site, source: Original | dict[str, str] | Path, *options: str) -> Result:
    """Run the command beside the running site."""
    environment = {"DATABASE_URL": site.core.conninfo}
    match source:
        case Original():
            environment["STARFERRY_IMPORT_DATABASE"] = source.conninfo
        case Path():
            options = ("--dump", str(source), *options)
        case _:
            environment |= source
    arguments = ["import-ocs", "--data", str(site.core.settings.data), *options]
    return CliRunner().invoke(cli, arguments, env=environment, catch_exceptions=False)


def family() -> list[dict[str, Any]]:
    """A raw frame, its reduction in two versions, a proprietary frame, one without area and headers' odd values."""
    raw = record(observation_id=17, headers={"OBJECT": "Ñandú", "GAIN": None, "BIG": 12345678901234567890})
    reduced = record(
        reduction_level=91,
        related_frame_filenames=[raw["basename"], "bpm-never-ingested"],
        version_set=[version(created=EARLY, extension=".fits"), version(created=LATE)],
        area={"type": "Polygon", "coordinates": [[[-10, -5], [10, -5], [10, 5], [-10, 5], [-10, -5]]]},
    )
    return [raw, reduced, record(public_date=FUTURE, proposal_id="P-OWN", area=None, exposure_time=None)]


def with_token(site: Site, token: str) -> httpx.Client:
    return site.client(token)


def test_e16_frames_keep_ids_times_headers_links_and_what_is_proprietary(site: Site, original: Original) -> None:
    raw, reduced, own = family()
    original.fill([raw, reduced, own], first=41)
    original.user("ada", token=ADA, is_superuser=True, is_staff=True)
    done = imported(site, original)
    assert done.exit_code == 0, done.output
    assert "frames: 4 new, 0 changed, 0 known already." in done.output
    assert "0 differences" in done.output
    ada = with_token(site, ADA)
    frame = ada.get("/frames/42/").json()
    assert (frame["id"], frame["basename"]) == (42, reduced["basename"])
    assert [(one["id"], one["created"], one["md5"]) for one in frame["version_set"]] == [
        (1045, LATE, reduced["version_set"][1]["md5"]),
        (1042, EARLY, reduced["version_set"][0]["md5"]),
    ]
    assert frame["filename"] == reduced["basename"] + ".fits.fz"
    assert frame["area"]["coordinates"] == reduced["area"]["coordinates"]
    assert frame["related_frames"] == [41]
    assert ada.get("/frames/41/").json()["related_frames"] == [42]
    assert ada.get("/frames/41/headers/").json() == {"data": raw["headers"]}
    assert ada.get(f"/versions/?md5={raw['version_set'][0]['md5']}").json()["results"][0]["id"] == 1041
    assert [one["id"] for one in site.user.get("/frames/?observation_id=17").json()["results"]] == [41]
    assert site.anonymous.get("/frames/43/").status_code == 404
    assert site.user.get("/frames/43/").json()["exposure_time"] is None
    events = site.core.log.load(stream_of(raw["basename"]))
    assert [recorded.cause.via for recorded in events] == ["import"]
    assert events[0].cause.reason.startswith("import from database test_")


def test_e16_each_version_has_the_path_that_the_ingester_stored_it_under(site: Site, original: Original) -> None:
    _, reduced, _ = frames = family()
    original.fill(frames)
    imported(site, original)
    with site.core.pool.connection() as connection:
        paths = connection.execute("SELECT path FROM read_frames.version WHERE frame_id = 2 ORDER BY id").fetchall()
    stem = f"tst/fa01/20240101/processed/{reduced['basename']}"
    assert paths == [(f"{stem}.fits",), (f"{stem}.fits.fz",)]


def test_e16_a_placeholder_stays_hidden_and_is_completed_under_its_id(site: Site, original: Original) -> None:
    original.fill(family())
    imported(site, original)
    admin = site.admin
    assert admin.get("/frames/4/").status_code == 404
    completed = site.post(record(basename="bpm-never-ingested"))
    assert completed["id"] == 4
    assert admin.get("/frames/4/").json()["related_frames"] == [2]


def test_e16_new_ids_begin_beyond_the_imported_ones(site: Site, original: Original) -> None:
    original.fill(family(), first=500)
    imported(site, original)
    created = site.post(record())
    assert created["id"] > 1_000_000
    assert created["version_set"][0]["id"] > 1_000_000


def test_e16_ids_that_a_running_process_holds_are_given_up(
    site: Site, original: Original, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = site.post(record())["id"]  # the API has taken hundreds of ids with it
    original.fill(family(), first=held + 20)
    monkeypatch.setattr("api.cli.import_ocs.SETTLE_SECONDS", 1.1)
    assert imported(site, original).exit_code == 0
    created = [site.post(record()) for _ in range(30)]
    assert min(frame["id"] for frame in created) > 1_000_000
    site.settle()
    assert site.admin.get(f"/frames/{held + 20}/").status_code == 200


def test_e16_thumbnails_keep_their_ids_and_find_their_files(site: Site, original: Original) -> None:
    raw = record()
    original.fill([raw])
    original.execute(
        "INSERT INTO frames_thumbnail (id, size, basename, extension, key, frame_id) "
        "VALUES (33, 'small', %s, '.jpg', %s, 1)",
        f"{raw['basename']}-small",
        hashlib.md5(b"picture").hexdigest(),
    )
    folder = site.core.settings.data / "files" / "tst" / "fa01" / "20240101" / "thumbnails"
    folder.mkdir(parents=True)
    (folder / f"{raw['basename']}-small.jpg").write_bytes(b"picture")
    done = imported(site, original)
    assert done.exit_code == 0, done.output
    assert "1 thumbnails" in done.output
    (listed_,) = site.anonymous.get(f"/thumbnails/?frame_basename={raw['basename']}").json()["results"]
    assert (listed_["id"], listed_["frame"], listed_["size"]) == (33, 1, "small")
    assert site.anonymous.get(listed_["url"]).content == b"picture"
    site.admin.delete("/thumbnails/33/")
    again = imported(site, original)
    assert "frames: 0 new, 0 changed, 1 known already." in again.output
    assert "thumbnail 33 isn't here" in again.output


def test_e16_users_go_on_with_their_tokens_and_passwords(site: Site, original: Original) -> None:
    original.user("ada", token=ADA, password="correct horse", is_superuser=True, is_staff=True)
    original.user("bob", token=BOB, api_token=PORTAL, is_staff=True)
    original.user("eve", token="d" * 40, is_active=False)
    original.user("two words")
    original.execute("UPDATE auth_user SET password = 'bcrypt$$2b$12$whatever' WHERE username = 'bob'")
    done = imported(site, original)
    assert done.exit_code == 1
    assert "users: 3 new" in done.output
    assert "password of user bob: it is kept in a form that isn't understood here" in done.output
    assert "user two words: A username has 1 to 150 printable characters and no spaces." in done.output
    assert ADA not in done.output
    site.settle()
    assert with_token(site, ADA).get("/profile/").json()["username"] == "ada"
    assert with_token(site, PORTAL).get("/profile/").json() == with_token(site, BOB).get("/profile/").json()
    assert with_token(site, BOB).get("/versions/").status_code == 200
    assert with_token(site, "d" * 40).get("/frames/").status_code == 401
    assert with_token(site, ADA).post("/frames/", json=record()).status_code == 201
    for _ in range(2):  # with Django's hash, then with ours
        login = site.anonymous.post("/api-token-auth/", json={"username": "ada", "password": "correct horse"})
        assert login.status_code == 200
    wrong = site.anonymous.post("/api-token-auth/", json={"username": "ada", "password": "wrong horse"})
    assert wrong.status_code == 400
    with site.core.pool.connection() as connection:
        kept = connection.execute("SELECT username, left(hash, 9) FROM starferry.password").fetchall()
    assert kept == [("ada", "$argon2id")]


def test_e16_an_account_that_is_here_keeps_its_password_and_flags(site: Site, original: Original) -> None:
    site.core.passwords.set("alice", "her own password")
    original.user("alice", token=ADA, password="correct horse", is_superuser=True)
    assert imported(site, original).exit_code == 0
    assert site.core.passwords.check("alice", "her own password")
    site.settle()
    assert with_token(site, ADA).post("/frames/", json=record()).status_code == 403


def test_e16_the_same_import_twice_changes_nothing(site: Site, original: Original) -> None:
    original.fill(family())
    original.user("ada", token=ADA, password="correct horse", is_staff=True)
    first = imported(site, original)
    events = site.events()
    again = imported(site, original)
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert "frames: 0 new, 0 changed, 4 known already." in again.output
    assert "users: 0 new, 0 changed, 1 known already." in again.output
    assert site.events() == events


def test_e16_a_later_import_takes_what_has_come_since_and_leaves_what_was_changed_here(
    site: Site, original: Original
) -> None:
    raw, reduced, own = family()
    original.fill([raw, reduced, own])
    imported(site, original)
    site.post({**own, "version_set": [], "target_name": "as named here"})
    original.execute(
        "INSERT INTO frames_version (id, frame_id, key, md5, extension, created) "
        "VALUES (7777, 1, 'newkey', 'newmd5', '.fits.fz', '2020-01-01Z')"
    )
    original.execute("UPDATE frames_headers SET data = '{\"NEW\": 1}' WHERE frame_id = 1")
    original.execute("UPDATE frames_frame SET target_name = 'M 33'")
    later = imported(site, original)
    assert "frames: 0 new, 3 changed, 1 known already." in later.output
    assert f"frame 3 ({own['basename']}): its target name differs here" in later.output
    assert later.exit_code == 1
    assert [one["id"] for one in site.admin.get("/frames/1/").json()["version_set"]] == [7777, 1001]
    assert site.admin.get("/frames/1/headers/").json() == {"data": {"NEW": 1}}
    assert site.admin.get("/frames/2/").json()["target_name"] == "M 33"
    assert site.admin.get("/frames/3/").json()["target_name"] == "as named here"


def test_e16_what_cant_be_taken_over_is_listed_with_its_reason_and_the_rest_goes_on(
    site: Site, original: Original
) -> None:
    same_name, same_bytes, sound = record(), record(), record()
    site.post(record(basename=same_name["basename"]))
    here = site.post(record(version_set=[version(md5=same_bytes["version_set"][0]["md5"])]))
    original.fill([same_name, same_bytes, sound], first=here["id"] + 3000)
    original.execute("INSERT INTO frames_version (key, md5, extension, created) VALUES ('o', 'o', '.fits', now())")
    done = imported(site, original)
    assert done.exit_code == 1
    assert f"({same_name['basename']}): there is a frame of this name here already" in done.output
    md5 = same_bytes["version_set"][0]["md5"]
    assert f"({same_bytes['basename']}): another frame here has md5 {md5} already" in done.output
    assert "the original counts 4 versions, and shows 3" in done.output
    assert "frames: 1 new" in done.output
    assert site.admin.get(f"/frames/{here['id'] + 3002}/").json()["basename"] == sound["basename"]


def test_e16_ids_in_use_here_are_not_overwritten(site: Site, original: Original) -> None:
    mine = site.post(record())
    original.fill([record(), record()], first=mine["id"])
    done = imported(site, original)
    assert done.exit_code == 1
    assert f"its id is that of frame {mine['basename']} here" in done.output
    assert site.admin.get(f"/frames/{mine['id']}/").json()["basename"] == mine["basename"]
    assert "frames: 1 new" in done.output


def test_e16_an_area_that_is_no_polygon_is_refused_alone(site: Site, original: Original) -> None:
    original.fill([record(), record()])
    original.execute("UPDATE frames_frame SET area = '0101000020E6100000000000000000F03F000000000000F03F' WHERE id = 1")
    done = imported(site, original)
    assert "Its area isn't one polygon." in done.output
    assert "frames: 1 new" in done.output


def test_e16_a_dry_run_counts_and_leaves_everything_as_it_is(site: Site, original: Original) -> None:
    original.fill(family())
    original.user("ada", token=ADA, password="correct horse")
    events = site.events()
    done = imported(site, original, "--dry-run")
    assert done.exit_code == 0
    assert "frames: 4 new, 0 changed, 0 known already (nothing was done: this was a dry run)." in done.output
    assert "users: 1 new" in done.output
    assert site.events() == events
    assert site.post(record())["id"] < 1_000_000


def test_e16_files_that_the_store_lacks_are_told(site: Site, original: Original) -> None:
    md5 = hashlib.md5(b"bytes").hexdigest()  # as the OCS library keeps files in a folder, the key is the md5
    raw = record(version_set=[version(md5=md5, key=md5)])
    original.fill([raw, record()])
    kept = site.core.settings.data / "files" / "tst" / "fa01" / "20240101" / "raw" / f"{raw['basename']}.fits.fz"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"bytes")
    done = imported(site, original, "--check-files")
    assert done.exit_code == 1
    assert "2 files in the store: 1 differences" in done.output
    assert done.output.count("isn't in the file store") == 1


def test_e16_a_difference_after_the_import_is_found(site: Site, original: Original) -> None:
    raw, reduced, own = family()
    original.fill([raw, reduced, own])
    imported(site, original)
    original.execute("UPDATE frames_version SET md5 = 'other' WHERE id = 1001")
    original.execute("UPDATE frames_headers SET data = '{}' WHERE frame_id = 2")
    original.user("late", token=ADA)
    done = imported(site, original, "--verify-only")
    assert done.exit_code == 1
    assert f"frame 1 ({raw['basename']}): version 1001 is another one here" in done.output
    assert f"frame 2 ({reduced['basename']}): its header differs here" in done.output
    assert "user late isn't here" in done.output
    assert "3 differences" in done.output


def test_e16_an_empty_original_is_an_empty_import(site: Site, original: Original) -> None:
    done = imported(site, original)
    assert (done.exit_code, "frames: 0 new" in done.output) == (0, True)


def test_e16_another_database_is_not_taken_for_an_archive(site: Site, cluster: str) -> None:
    with fresh_database(cluster) as conninfo:
        done = CliRunner().invoke(
            cli,
            ["import-ocs", "--database", conninfo, "--data", str(site.core.settings.data)],
            env={"DATABASE_URL": site.core.conninfo},
        )
    assert "This isn't a database of the OCS archive: it has no table frames_frame" in str(done.exception)


def test_e16_an_archive_of_before_2_0_is_refused(site: Site, original: Original) -> None:
    original.execute('ALTER TABLE frames_frame RENAME observation_date TO "DATE_OBS"')
    done = CliRunner().invoke(
        cli,
        ["import-ocs", "--database", original.conninfo, "--data", str(site.core.settings.data)],
        env={"DATABASE_URL": site.core.conninfo},
    )
    assert "This archive is older than 2.0" in str(done.exception)


def dump_of(frames: list[dict[str, Any]]) -> str:
    """As pg_dump writes it: statements that want PostGIS, and data in COPY blocks, the columns in any order."""
    lines = [
        "CREATE EXTENSION IF NOT EXISTS postgis WITH SCHEMA public;",
        "CREATE TABLE public.frames_frame (id integer NOT NULL, area public.geography(Polygon,4326));",
        "COPY public.spatial_ref_sys (srid, auth_name) FROM stdin;",
        "\\.",
        "COPY public.frames_frame (basename, id, area, created, reduction_level, observation_date, target_name) "
        "FROM stdin;",
    ]
    for number, frame in enumerate(frames, start=1):
        fields = (
            frame["basename"],
            str(number),
            ewkb(frame["area"]) or "\\N",
            "2015-01-01 00:00:00+00",
            str(frame["reduction_level"]),
            frame["observation_date"],
            frame["target_name"],
        )
        lines.append("\t".join(fields))
    lines += ["\\.", "", "COPY public.frames_version (id, created, key, md5, extension, frame_id) FROM stdin;"]
    for number, frame in enumerate(frames, start=1):
        one = frame["version_set"][0]
        lines.append(f"{number}\t2016-01-01 01:00:00.5+01\t{one['key']}\t{one['md5']}\t{one['extension']}\t{number}")
    lines += ["\\.", "COPY public.frames_headers (id, data, frame_id) FROM stdin;"]
    for number, frame in enumerate(frames, start=1):
        text = json.dumps(frame["headers"]).replace("\\", "\\\\")
        lines.append(f"{number}\t{text}\t{number}")
    lines += ["\\.", "COPY public.frames_frame_related_frames (id, from_frame_id, to_frame_id) FROM stdin;"]
    return "\n".join([*lines, "1\t2\t1", "2\t1\t2", "\\.", "SELECT 1;", ""])


def test_e16_a_plain_sql_dump_is_read_without_running_it(site: Site, tmp_path: Path) -> None:
    frames = [record(headers={"OBJECT": 'tab\tand "quote" \\ ü'}), record()]
    (tmp_path / "archive.sql").write_text(dump_of(frames))
    done = imported(site, tmp_path / "archive.sql")
    assert done.exit_code == 0, done.output
    assert "frames: 2 new" in done.output
    first = site.admin.get("/frames/1/").json()
    assert first["related_frames"] == [2]
    assert first["version_set"][0]["created"] == "2016-01-01T00:00:00.500000Z"
    assert site.admin.get("/frames/1/headers/").json() == {"data": frames[0]["headers"]}
    with site.core.pool.connection() as connection:
        left = connection.execute("SELECT 1 FROM pg_class WHERE relname = 'frames_frame'").fetchall()
    assert left == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"PGDMP\x01\x0e", "This dump isn't plain SQL"),
        (b"", "This is no dump of an OCS archive"),
        (b"COPY public.frames_frame (id, basename) FROM stdin;\n1\tx\n", "The dump ends in the middle of a table."),
        (b"COPY public.frames_frame (id) FROM stdin;\nx\n\\.\n", "The rows of frames_frame can't be read"),
        (b"COPY public.frames_frame (id) FROM stdin;\n1\n\\.\n", "it has no table frames_version"),
    ],
)
def test_e16_a_dump_that_cant_be_read_is_refused_in_a_sentence(
    site: Site, tmp_path: Path, content: bytes, sentence: str
) -> None:
    (tmp_path / "archive.sql").write_bytes(content)
    done = CliRunner().invoke(
        cli,
        ["import-ocs", "--dump", str(tmp_path / "archive.sql"), "--data", str(site.core.settings.data)],
        env={"DATABASE_URL": site.core.conninfo},
    )
    assert sentence in str(done.exception)


def listed(payloads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Frames as the original's API lists them: links as ids, in both frames."""
    ids = {payload["basename"]: number for number, payload in enumerate(payloads, start=5)}
    frames: dict[int, dict[str, Any]] = {}
    for payload in payloads:
        number = ids[payload["basename"]]
        versions = [
            {"id": 100 * number + order, "created": LATE, "url": "https://x/", **one}
            for order, one in enumerate(payload["version_set"])
        ]
        frames[number] = {**payload, "id": number, "version_set": versions[::-1], "related_frames": []}
    for payload in payloads:
        for name in payload["related_frame_filenames"]:
            if name in ids:
                frames[ids[payload["basename"]]]["related_frames"].append(ids[name])
                frames[ids[name]]["related_frames"].append(ids[payload["basename"]])
    return list(frames.values())


@pytest.mark.parametrize("cursors", [True, False], ids=["cursors", "offsets"])
def test_e16_the_api_gives_frames_versions_links_and_headers_page_by_page(
    site: Site, monkeypatch: pytest.MonkeyPatch, cursors: bool
) -> None:
    monkeypatch.setattr("adapters.ocs_archive.http_api.PAGE", 4)
    raw, reduced, own = family()
    payloads = [reduced, raw, own, *(record() for _ in range(8))]
    with running_archive(listed(payloads), ADA, cursors=cursors) as server:
        via = {"STARFERRY_IMPORT_TOKEN": ADA}
        done = imported(site, via, "--api-root", server.url)
        assert done.exit_code == 0, done.output
        asked = [entry["path"] for entry in server.log if "/headers/" in entry["path"]]
        again = imported(site, via, "--api-root", server.url)
    assert "frames: 11 new, 0 changed, 0 known already." in done.output
    assert "frames: 0 new, 0 changed, 11 known already." in again.output
    assert len(asked) >= 11
    frame = site.admin.get("/frames/5/").json()
    assert (frame["basename"], frame["related_frames"]) == (reduced["basename"], [6])
    assert [one["id"] for one in frame["version_set"]] == [501, 500]
    assert site.admin.get("/frames/6/headers/").json() == {"data": raw["headers"]}
    assert site.anonymous.get("/frames/7/").status_code == 404


def test_e16_a_busy_api_is_asked_again_and_one_that_refuses_is_not(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("adapters.ocs_archive.http_api.time.sleep", waits.append)
    from tests.emulators.faults import Fault

    with running_archive(listed([record()]), ADA) as server:
        server.faults.add(Fault(path="/frames/5/headers/", status=429, headers={"Retry-After": "7"}))
        server.faults.add(Fault(path="/frames/5/headers/", status=502))
        done = imported(site, {"STARFERRY_IMPORT_TOKEN": ADA}, "--api-root", server.url)
        assert done.exit_code == 0, done.output
        assert 7.0 in waits
        refused = CliRunner().invoke(
            cli,
            ["import-ocs", "--api-root", server.url, "--token", BOB, "--data", str(site.core.settings.data)],
            env={"DATABASE_URL": site.core.conninfo},
        )
    assert str(refused.exception) == "The original's API refuses the token; it must be a superuser's."


def test_e16_an_import_that_is_killed_goes_on_where_it_was(
    cluster: str, template: str, original: Original, tmp_path: Path
) -> None:
    original.fill([record() for _ in range(4000)])
    with (
        fresh_database(cluster, template=template) as conninfo,
        running_site(tmp_path, conninfo, prepared=True) as site,
    ):
        child = subprocess.Popen(
            [sys.executable, "-m", "api.cli", "import-ocs", "--data", str(tmp_path)],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "DATABASE_URL": conninfo,
                "STARFERRY_IMPORT_DATABASE": original.conninfo,
            },
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        before = site.events()
        eventually(
            lambda: site.events() >= before + 500 or child.poll() is not None, "nothing was imported", seconds=60
        )
        child.kill()
        child.wait()
        stored = site.events() - before
        done = imported(site, original)
        assert done.exit_code == 0, done.output
        told = re.search(r"frames: (\d+) new, 0 changed, (\d+) known already\.", done.output)
        assert told, done.output
        new, known = map(int, told.groups())
        assert (new + known, known >= stored >= 500) == (4000, True)  # the last page may have come after its end
        assert site.events() == before + 4000


def test_e16_djangos_hashes_are_told_from_others(site: Site) -> None:
    passwords = site.core.passwords
    assert passwords.understands(django_hash("x"))
    assert passwords.understands("argon2$argon2id$v=19$m=102400,t=2,p=8$c29tZXNhbHQ$" + "A" * 43)
    for other in ("", "!", "pbkdf2_sha1$1$a$b", "pbkdf2_sha256$0$a$" + "A" * 43 + "=", "plain", "$argon2id$v=19$x"):
        assert not passwords.understands(other)
