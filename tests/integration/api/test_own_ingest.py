"""`POST /api/v1/ingest`: what comes in, what is refused, and that a refusal leaves nothing behind."""

from __future__ import annotations

import gzip
import hashlib
import secrets
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes import Processes, running_processes
from tests.records import fits_bytes, new_name
from tests.site import Site, eventually

MIB = 1 << 20


def send(site: Site, data: bytes, filename: str, **fields: str) -> httpx.Response:
    return site.admin.post("/api/v1/ingest", files={"file": (filename, data)}, data=fields)


def is_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The problem details of an answer that must be an error of this status (RFC 9457)."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body.keys() >= {"type", "title", "status", "detail"}
    assert body["status"] == status
    assert body["detail"].strip()
    return body


def unchanged(site: Site, ask: Callable[[], httpx.Response], status: int) -> dict[str, Any]:
    """The same, of a request that must write no event and no file."""
    events, files = site.events(), site.files()
    problem = is_problem(ask(), status)
    assert site.events() == events
    assert site.files() == files
    return problem


def test_a_file_becomes_a_frame_and_its_bytes_are_kept(site: Site) -> None:
    data, name = fits_bytes(BLKUID=4711), new_name()
    frame = site.ingest(data, f"{name}.fits")
    assert frame["basename"] == name
    (stored,) = frame["version_set"]
    assert stored["md5"] == hashlib.md5(data).hexdigest()
    assert site.anonymous.get(frame["url"]).content == data
    shown = site.admin.get(f"/frames/{frame['id']}/").json()
    assert shown == frame, "in the form of /frames/<id>/"
    assert site.admin.get(f"/frames/{frame['id']}/headers/").json()["data"]["BLKUID"] == 4711
    assert site.admin.get("/frames/", params={"observation_id": 4711}).json()["count"] == 1


def test_the_same_bytes_again_are_refused_and_nothing_is_written(site: Site) -> None:
    data = fits_bytes()
    site.ingest(data, "twice-e00.fits")
    for name in ("twice-e00.fits", "other-e00.fits"):
        problem = unchanged(site, partial(send, site, data, name), 409)
        assert "already" in problem["detail"]
        assert problem["type"] == "urn:starferry:AlreadyExists"


def test_of_simultaneous_ingests_of_the_same_bytes_one_wins(site: Site) -> None:
    data, files = fits_bytes(), len(site.files())
    with ThreadPoolExecutor(6) as threads:
        for names in ([f"{new_name()}.fits"] * 6, [f"{new_name()}.fits" for _ in range(6)]):
            answers = list(threads.map(send, [site] * 6, [data] * 6, names))
            created = [answer for answer in answers if answer.status_code == 201]
            assert {answer.status_code for answer in answers} <= {201, 409}
            assert len(created) <= 1
            assert len(site.files()) == files + 1
    assert site.admin.get("/versions/", params={"md5": hashlib.md5(data).hexdigest()}).json()["count"] == 1


def test_other_bytes_under_the_same_name_are_a_new_version(site: Site) -> None:
    name, first, second = new_name(), fits_bytes(), fits_bytes()
    site.ingest(first, f"{name}.fits")
    frame = site.ingest(second, f"{name}.fits")
    assert [one["md5"] for one in frame["version_set"]] == [hashlib.md5(data).hexdigest() for data in (second, first)]
    for version, data in zip(frame["version_set"], (second, first), strict=True):
        assert site.anonymous.get(version["url"]).content == data


def _truncated() -> bytes:
    return fits_bytes(shape=(64, 64))[:-2880]


def _absurd() -> bytes:
    data = fits_bytes()
    return data.replace(b"NAXIS1  =                    8", b"NAXIS1  =     2000000000000000")


BOMB = gzip.compress(bytes(300 * MIB), 1)
REFUSED: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "not FITS": (lambda: b"JFIF" * 1000, "a-e00.fits", "FITS"),
    "empty": (lambda: b"", "a-e00.fits", "a-e00.fits"),
    "truncated": (_truncated, "a-e00.fits", "cut short"),
    "half a header": (lambda: fits_bytes()[:1000], "a-e00.fits", "a-e00.fits"),
    "missing header": (lambda: fits_bytes(drop=("SITEID", "TELID")), "a-e00.fits", "SITEID, TELID"),
    "absurd size": (_absurd, "a-e00.fits", "bytes"),
    "gzip bomb": (lambda: BOMB, "a-e00.fits.gz", "a-e00.fits.gz"),
    "broken gzip": (lambda: gzip.compress(fits_bytes())[:-20], "a-e00.fits.gz", "a-e00.fits.gz"),
    "bad date": (lambda: fits_bytes(DATE_OBS="yesterday"), "a-e00.fits", "DATE-OBS"),
    "bad number": (lambda: fits_bytes(EXPTIME="long"), "a-e00.fits", "EXPTIME"),
    "huge number": (lambda: fits_bytes(BLKUID=2**40), "a-e00.fits", "BLKUID"),
    "unknown extension": (lambda: fits_bytes(), "a-e00.exe", "extension"),
    "no extension": (lambda: fits_bytes(), "a-e00", "extension"),
    "no name": (lambda: fits_bytes(), ".fits", ".fits"),
    "control characters": (lambda: fits_bytes(), "a\u202eb\u0007.fits", "characters"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_cannot_be_archived_is_refused_with_one_sentence(site: Site, case: str) -> None:
    make, filename, word = REFUSED[case]
    data = make()
    problem = unchanged(site, lambda: send(site, data, filename), 422)
    sentence = problem["detail"]
    assert word in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(sentence) < 400


def test_a_path_in_the_file_name_stays_out_of_the_store(site: Site) -> None:
    for prefix in ("../../../", "C:\\frames\\", "/etc/"):
        name = new_name()
        assert site.ingest(fits_bytes(), f"{prefix}{name}.fits")["basename"] == name
    root = site.core.settings.data / "files"
    assert all(path.is_relative_to(root) for path in site.files())


@pytest.mark.parametrize("field", ["SITEID", "INSTRUME", "TELID", "PROPID", "OBJECT"])
@pytest.mark.parametrize("value", ["../../x", "a/b", "x" * 60, "..", "a b", "\\x"])
def test_odd_header_values_never_lead_out_of_the_store(site: Site, field: str, value: str) -> None:
    answer = send(site, fits_bytes(**dict[str, Any]({field: value})), f"{new_name()}.fits")
    assert answer.status_code in (201, 422, 400), answer.text
    root = (site.core.settings.data / "files").resolve()
    assert all(path.resolve().is_relative_to(root) for path in site.files())
    assert not [path for path in site.core.settings.data.rglob("*.fits") if not path.resolve().is_relative_to(root)]
    assert not site.failures()


def multipart(*parts: tuple[str, str | None, bytes], boundary: bytes = b"B", end: bytes = b"--B--\r\n") -> bytes:
    """A multipart body by hand: name, file name and content of each part."""
    body = b""
    for name, filename, content in parts:
        named = f'; filename="{filename}"' if filename is not None else ""
        body += b"--" + boundary + f'\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode()
        body += content + b"\r\n"
    return body + end


def raw(site: Site, body: bytes, content_type: str = "multipart/form-data; boundary=B") -> httpx.Response:
    return site.admin.post("/api/v1/ingest", content=body, headers={"Content-Type": content_type})


FILE = ("file", "x-e00.fits", b"SIMPLE")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (multipart(("other", None, b"x")), "multipart/form-data; boundary=B"),
        (multipart(), "multipart/form-data; boundary=B"),
        (b"", "multipart/form-data; boundary=B"),
        (multipart(FILE, FILE), "multipart/form-data; boundary=B"),
        (multipart(("file", "", b"SIMPLE")), "multipart/form-data; boundary=B"),
        (multipart(("file", None, b"SIMPLE")), "multipart/form-data; boundary=B"),
        (multipart(FILE, end=b""), "multipart/form-data; boundary=B"),
        (multipart(FILE)[:-4], "multipart/form-data; boundary=B"),
        (multipart(FILE), "multipart/form-data; boundary=C"),
        (multipart(FILE), "multipart/form-data"),
        (multipart(FILE), "application/json"),
        (b"SIMPLE  =", "application/fits"),
        (multipart(FILE), ""),
        (multipart(("observation", None, b"x" * 20_000), FILE), "multipart/form-data; boundary=B"),
        (multipart(("observation", None, b"a\0b"), FILE), "multipart/form-data; boundary=B"),
        (b"garbage" * 1000, "multipart/form-data; boundary=B"),
        (b"--B\r\n" + b"x" * 100_000, "multipart/form-data; boundary=B"),
        (b"--B\r\n" + b"A: b\r\n" * 10_000 + b"\r\n", "multipart/form-data; boundary=B"),
    ],
)
def test_a_body_that_holds_no_single_whole_file_is_refused(site: Site, body: bytes, content_type: str) -> None:
    unchanged(site, lambda: raw(site, body, content_type), 400)


def test_a_whole_file_in_a_body_without_its_end_is_refused(site: Site) -> None:
    body = multipart(("file", "cut-e00.fits", fits_bytes()), end=b"")
    unchanged(site, lambda: raw(site, body), 400)


def test_fields_may_come_before_or_after_the_file(site: Site) -> None:
    for order in (0, 1):
        parts = [("file", f"{new_name()}.fits", fits_bytes()), ("observation", None, b"obs-by-hand")]
        answer = raw(site, multipart(*(parts[::-1] if order else parts)))
        assert answer.status_code == 201
    history = site.admin.get("/api/v1/audit/observation/obs-by-hand").json()["results"]
    assert [entry["event"] for entry in history] == ["observation.discovered"]


def test_calibrated_from_must_name_a_frame(site: Site) -> None:
    problem = unchanged(site, lambda: send(site, fits_bytes(), f"{new_name()}.fits", calibrated_from="nothing"), 404)
    assert "nothing" in problem["detail"]


def test_only_superusers_ingest(site: Site) -> None:
    body = multipart(("file", f"{new_name()}.fits", fits_bytes()))
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    forbidden = unchanged(site, lambda: site.user.post("/api/v1/ingest", content=body, headers=headers), 403)
    assert forbidden["type"] == "urn:starferry:Forbidden"
    anonymous = unchanged(site, lambda: site.anonymous.post("/api/v1/ingest", content=body, headers=headers), 401)
    assert anonymous["detail"] == "Authentication credentials were not provided."


def test_a_client_that_goes_away_in_the_middle_leaves_nothing(site: Site) -> None:
    events, files = site.events(), site.files()
    host, port = site.url.removeprefix("http://").split(":")
    body = multipart(("file", "half-e00.fits", fits_bytes(shape=(1024, 1024))))
    for promised in (f"Content-Length: {len(body)}", "Transfer-Encoding: chunked"):
        with socket.create_connection((host, int(port))) as connection:
            head = (
                f"POST /api/v1/ingest HTTP/1.1\r\nHost: x\r\nAuthorization: Token {site.admin_token}\r\n"
                f"Content-Type: multipart/form-data; boundary=B\r\n{promised}\r\n\r\n"
            )
            connection.sendall(head.encode())
            half = body[: len(body) // 2]
            connection.sendall(f"{len(half):x}\r\n".encode() + half if "chunked" in promised else half)
            eventually(lambda: len(site.files()) > len(files), "the upload didn't begin")
        eventually(lambda: site.files() == files, "the half file is still there")
    assert site.events() == events


@pytest.fixture
def process(site: Site, tmp_path: Path) -> Iterator[Processes]:
    """An API process of its own on the site's database."""
    keys = (site.core.settings.data / "keys" / "master.keys").read_text().strip()
    environment = {"DATABASE_URL": site.core.conninfo, "STARFERRY_MASTER_KEYS": keys}
    with running_processes(tmp_path / "data", environment, ("api",)) as running:
        yield running


def test_a_large_file_streams_through_a_small_process(site: Site, process: Processes) -> None:
    digest, size = hashlib.md5(), 300 * MIB
    head = fits_bytes(shape=(8, 8))[:2880].replace(b"NAXIS1  =                    8", b"NAXIS1  =                 7680")
    head = head.replace(b"NAXIS2  =                    8", b"NAXIS2  =                20480")
    block = secrets.token_bytes(MIB)
    opening = b'--B\r\nContent-Disposition: form-data; name="file"; filename="large-e00.fits"\r\n\r\n'
    closing = b"\r\n--B--\r\n"
    padding = -(2880 + size) % 2880

    def body() -> Iterator[bytes]:
        yield opening
        for piece in (head, *(block for _ in range(size // MIB)), bytes(padding)):
            digest.update(piece)
            yield piece
        yield closing

    length = len(opening) + 2880 + size + padding + len(closing)
    headers = {"Content-Type": "multipart/form-data; boundary=B", "Content-Length": str(length)}
    client = site.client(site.admin_token, url=process.url)
    answer = client.post("/api/v1/ingest", content=body(), headers=headers, timeout=60)
    assert answer.status_code == 201, answer.text
    assert answer.json()["frame"]["version_set"][0]["md5"] == digest.hexdigest()
    status = Path(f"/proc/{process.pids['api']}/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert peak < 256 * 1024, f"the process grew to {peak // 1024} MiB"


def test_many_files_at_once_all_arrive(site: Site) -> None:
    files = {f"{new_name()}.fits": fits_bytes() for _ in range(12)}
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda item: send(site, item[1], item[0]), files.items()))
    assert [answer.status_code for answer in answers] == [201] * 12
    for answer, data in zip(answers, files.values(), strict=True):
        assert site.anonymous.get(answer.json()["frame"]["url"]).content == data
