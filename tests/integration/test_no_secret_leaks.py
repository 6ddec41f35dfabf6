"""S22: no response, log line, event or table shows a secret. Canaries go in everywhere; then everything is searched."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from api.bootstrap import Core, open_core
from api.settings import Settings
from application.commands.accounts import create_token, create_user
from tests.emulators.gcs import RunningGcs, running_gcs
from tests.emulators.s3 import RunningS3, running_s3
from tests.postgres import fresh_database
from tests.processes import Processes, running_processes
from tests.records import fits_bytes, new_name, record
from tests.site import CAUSE, eventually

EMAIL = "canary@emulated.iam.gserviceaccount.com"


def needles(secret: bytes) -> list[bytes]:
    """A secret as it may lie about: plain, in hex of either case, and in base64 at each of its three phases."""
    found = [secret, secret.hex().encode(), secret.hex().upper().encode()]
    for phase in range(3):
        encoded = base64.b64encode(b"\0" * phase + secret)
        inner = encoded[4 if phase else 0 : -4]
        found += [inner, inner.replace(b"+", b"-").replace(b"/", b"_")]
    return found


class Haystack:
    """Everything that was given out or kept, by where it was found."""

    def __init__(self) -> None:
        self.straws: dict[str, bytes] = {}

    def add(self, where: str, what: bytes) -> None:
        self.straws[where] = self.straws.get(where, b"") + b"\n" + what

    def leaks(self, canaries: dict[str, list[bytes]]) -> list[str]:
        """`what in where` for every canary that is somewhere; never the canary itself."""
        return [
            f"{name} in {where}"
            for name, values in canaries.items()
            for where, text in self.straws.items()
            if any(needle in text for value in values for needle in needles(value))
        ]


class Scene:
    """The processes, their clients, and the canaries."""

    def __init__(
        self, core: Core, running: Processes, gcs: RunningGcs, s3: RunningS3, settings: dict[str, str]
    ) -> None:
        self.core, self.running, self.gcs, self.s3 = core, running, gcs, s3
        self.s3_keys = {"access_key": secrets.token_hex(12), "secret_key": secrets.token_urlsafe(24)}
        s3.emulator.add_key(**self.s3_keys)
        self.haystack = Haystack()
        self.password = secrets.token_urlsafe(18)
        create_user(core.log, core.passwords, core.clock, CAUSE, "admin", is_superuser=True, password=self.password)
        self.token, self.bad_token = secrets.token_hex(20), secrets.token_hex(20)
        create_token(core.log, core.clock, CAUSE, "admin", self.token)
        self.account = gcs.emulator.new_account(EMAIL)
        self.typo = secrets.token_urlsafe(24)
        self.settings = settings
        self.access_tokens: set[str] = set()
        self.client = httpx.Client(
            base_url=running.url, headers={"Authorization": f"Token {self.token}"}, timeout=20, trust_env=False
        )
        self.client.event_hooks["response"].append(self._keep)

    def _keep(self, answer: httpx.Response) -> None:
        answer.read()
        text = "\n".join(f"{name}: {value}" for name, value in answer.headers.items()).encode()
        self.haystack.add(f"the answer to {answer.request.method} {answer.request.url.path}", text + answer.content)

    def canaries(self) -> dict[str, list[bytes]]:
        """All secrets, those that came up on the way included."""
        master = self.settings["STARFERRY_MASTER_KEYS"].split(":", 1)[1]
        sessions = [row[0].encode() for row in self.gcs.emulator.store.run("SELECT id FROM sessions")]
        parts = {found[1] for one in self.s3.requests() if (found := re.search("uploadId=([^&]+)", one["path"]))}
        assert sessions
        assert parts
        assert self.access_tokens
        return {
            "the service account's private key": _key_lines(self.account),
            "the master key": [master.encode(), base64.b64decode(master)],
            "the key of links": [self.settings["SECRET_KEY"].encode()],
            "the password": [self.password.encode()],
            "the token": [self.token.encode()],
            "a refused token": [self.bad_token.encode()],
            "a secret in a refused request": [self.typo.encode()],
            "the database's password": [str(conninfo_to_dict(self.core.conninfo)["password"]).encode()],
            "an upload's id": sessions,
            "the id of an S3 upload": [part.encode() for part in parts],
            "an S3 key": [key.encode() for key in self.s3_keys.values()],
            "an access token": [token.encode() for token in self.access_tokens],
        }

    def collect(self) -> None:
        """Everything that is kept: logs, events, tables."""
        self.haystack.add("the log", self.running.log.read_bytes())
        after = 0
        while (batch := self.core.log.read(after, 500)).upto > after:
            self.haystack.add("the events", msgspec.json.encode(batch.events))
            after = batch.upto
        with psycopg.connect(self.core.conninfo) as connection:
            tables = connection.execute(
                "SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) FROM information_schema.tables "
                "WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')"
            ).fetchall()
            for (table,) in tables:
                with connection.cursor().copy(f"COPY {table} TO STDOUT".encode()) as rows:
                    self.haystack.add(f"the table {table}", b"".join(bytes(row) for row in rows))


def _key_lines(account: dict[str, Any]) -> list[bytes]:
    return [line.encode() for line in account["private_key"].splitlines()[1:-2]]


@pytest.fixture(scope="module")
def scene(cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    data = tmp_path_factory.mktemp("leaks")
    (data / "destinations").mkdir()
    with (
        running_gcs(data / "gcs") as gcs,
        running_s3(data / "s3") as s3,
        fresh_database(cluster, template=template) as conninfo,
    ):
        settings = {
            "DATABASE_URL": conninfo,
            "STARFERRY_MASTER_KEYS": f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}",
            "SECRET_KEY": secrets.token_urlsafe(32),
            "STARFERRY_FOLDER_ROOTS": str(data / "destinations"),
            "STARFERRY_RETRY_SCHEDULE": "0,0",
            "STARFERRY_GCS_URL": gcs.url,
            "STARFERRY_S3_NETWORKS": "127.0.0.0/8",
            "STARFERRY_LOG_LEVEL": "debug",
        }
        with (
            open_core(Settings(settings, data=data), conninfo) as core,
            running_processes(data, settings) as running,
        ):
            scene = Scene(core, running, gcs, s3, settings)
            with scene.client:
                eventually(lambda: scene.client.get("/frames/").status_code == 200, "nobody may come in")
                yield scene


def test_s22_s23_no_answer_log_event_or_table_shows_a_secret(scene: Scene) -> None:
    _deliver_well(scene)
    _deliver_badly(scene)
    _deliver_to_s3(scene)
    _be_refused(scene)
    _look_around(scene)
    scene.collect()
    assert len(scene.haystack.straws) > 30
    assert b"delivered" in scene.haystack.straws["the log"]
    assert b"attempt failed" in scene.haystack.straws["the log"]
    assert scene.haystack.leaks(scene.canaries()) == []


@pytest.mark.parametrize(
    "form", [bytes, lambda s: s.hex().encode(), base64.b64encode, lambda s: base64.b64encode(b"{" + s)]
)
def test_the_search_finds_what_leaks(form: Any) -> None:
    secret = secrets.token_bytes(20)
    haystack = Haystack()
    haystack.add("here", b"before " + form(secret) + b" after")
    assert haystack.leaks({"it": [secret]}) == ["it in here"]


def _bucket(scene: Scene, **changes: Any) -> tuple[str, str]:
    """A new bucket with its configuration: their names."""
    bucket = secrets.token_hex(6)
    scene.gcs.emulator.create_bucket(bucket)
    credentials = {"bucket": bucket, "service_account_json": json.dumps({**scene.account, **changes})}
    body = {"provider": "google_cloud_storage", "display_name": "B", "credentials": credentials}
    answer = scene.client.post("/api/v1/storage-configs", json=body)
    assert answer.status_code == 201, answer.text
    return bucket, answer.json()["id"]


def _send(scene: Scene, config: str, number: int, *states: str, size: int = 8) -> None:
    """Submit an observation, ingest its file and wait until the transfer has come to one of these states."""
    body = {"name": "n", "observation_id": number, "destinations": [config]}
    assert scene.client.post("/api/v1/observations", json=body).status_code == 201
    data = fits_bytes(BLKUID=number, shape=(size, size))
    answer = scene.client.post("/api/v1/ingest", files={"file": (f"{new_name()}.fits", data)})
    assert answer.status_code == 201, answer.text

    def settled() -> bool:
        rows = scene.client.get("/api/v1/transfers", params={"observation": number}).json()["results"]
        return any(row["status"] in states or (row["held"] and "held" in states) for row in rows)

    eventually(settled, f"observation {number} isn't {states}", seconds=25)


def _deliver_well(scene: Scene) -> None:
    bucket, config = _bucket(scene)
    assert scene.client.post(f"/api/v1/storage-configs/{config}/test").json()["ok"] is True
    _send(scene, config, 1, "completed")
    scene.gcs.fault(method="PUT", path=f"/b/{bucket}/o.*upload_id", status=503, nth=2)
    _send(scene, config, 2, "completed", size=2400)  # more than one chunk: the session is kept while it runs


def _deliver_badly(scene: Scene) -> None:
    """Provider's replies that quote what they were sent, closed connections, dead keys, missing buckets."""
    scene.access_tokens |= set(scene.gcs.emulator.accounts.tokens())
    message = f"bad upload_id=x token={scene.gcs.emulator.accounts.tokens()}"
    quoting = json.dumps({"error": {"code": 400, "message": message, "errors": [{"reason": "invalid"}]}})
    bucket, config = _bucket(scene)
    scene.gcs.fault(path=f"/b/{bucket}/o.*upload", status=400, body=quoting,
                    headers={"Content-Type": "application/json"}, times=0)  # fmt: skip
    _send(scene, config, 3, "failed")
    bucket, config = _bucket(scene)
    scene.gcs.fault(path=f"/b/{bucket}/o", close="before", times=0)
    _send(scene, config, 4, "failed")
    bucket, config = _bucket(scene)
    scene.gcs.emulator.store.run("DELETE FROM buckets WHERE name = ?", bucket)
    _send(scene, config, 5, "failed")
    scene.client.post(f"/api/v1/storage-configs/{config}/test")
    _, config = _bucket(scene, private_key=f"-----BEGIN PRIVATE KEY-----\n{scene.typo}\n-----END PRIVATE KEY-----\n")
    scene.client.post(f"/api/v1/storage-configs/{config}/test")
    _send(scene, config, 6, "held", "failed")
    _, config = _bucket(scene)
    scene.access_tokens |= set(scene.gcs.emulator.accounts.tokens())
    scene.gcs.emulator.accounts.revoke(EMAIL)
    scene.client.post(f"/api/v1/storage-configs/{config}/test")
    _send(scene, config, 7, "held", "failed")
    replaced = {"credentials": {"service_account_json": json.dumps(scene.account)}}
    assert scene.client.patch(f"/api/v1/storage-configs/{config}", json=replaced).status_code == 200
    assert scene.client.delete(f"/api/v1/storage-configs/{config}").status_code == 204


def _deliver_to_s3(scene: Scene) -> None:
    """In parts with one that is lost, with replies that quote what they were sent, and with keys that end."""
    keys = scene.s3_keys
    scene.s3.emulator.create_bucket("frames")
    credentials = {**keys, "bucket": "frames", "endpoint": scene.s3.url}
    body = {"provider": "s3", "display_name": "S", "credentials": credentials}
    answer = scene.client.post("/api/v1/storage-configs", json=body)
    assert answer.status_code == 201, answer.text
    config = answer.json()["id"]
    assert scene.client.post(f"/api/v1/storage-configs/{config}/test").json()["ok"] is True
    scene.s3.fault(method="PUT", path="partNumber=2", close="after")
    _send(scene, config, 11, "completed", size=2400)
    quoting = f"<Error><Code>InvalidTag</Code><Message>{keys['secret_key']} {keys['access_key']}</Message></Error>"
    scene.s3.fault(method="PUT", path=r"^[^?]*$", status=400, body=quoting)
    _send(scene, config, 12, "failed")
    scene.s3.emulator.revoke(keys["access_key"])
    scene.client.post(f"/api/v1/storage-configs/{config}/test")
    _send(scene, config, 13, "held")
    wrong = {"endpoint": f"https://{keys['access_key']}:{scene.typo}@s3.example.org"}
    assert scene.client.patch(f"/api/v1/storage-configs/{config}", json={"credentials": wrong}).status_code == 400
    assert scene.client.delete(f"/api/v1/storage-configs/{config}").status_code == 204


def _be_refused(scene: Scene) -> None:
    """Requests with secrets in the wrong place."""
    typo = scene.typo
    full = json.dumps(scene.account)
    for provider, name, credentials in (
        ("folder", "x", {"root": "/nowhere", "password": typo}),
        ("google_cloud_storage", "x", {"bucket": "b", "service_account_json": typo}),
        ("google_cloud_storage", "x", {"service_account_json": full}),
        ("google_cloud_storage", "x", {"bucket": ["b"], "service_account_json": full}),
        ("google_cloud_storage", "", {"bucket": "b", "service_account_json": full}),
        ("dropbox", "", {"app_key": "k", "app_secret": typo}),
        ("google_drive", "x", {"client_secret": typo}),
        ("s3", "x", {"bucket": "b", "access_key": "k", "secret_key": typo}),
        ("google_cloud_storage", "x", typo),
    ):
        body = {"provider": provider, "display_name": name, "credentials": credentials}
        assert scene.client.post("/api/v1/storage-configs", json=body).status_code == 400
    for cut in (full[: len(full) // 2], f'{{"credentials": "{typo}'):
        headers = {"Content-Type": "application/json"}
        assert scene.client.post("/api/v1/storage-configs", content=cut, headers=headers).status_code == 400
        assert scene.client.post("/frames/", content=cut, headers=headers).status_code == 400
    for route in ("/frames/", "/api/v1/transfers", "/profile/"):
        assert scene.client.get(route, headers={"Authorization": f"Token {scene.bad_token}"}).status_code == 401


def _look_around(scene: Scene) -> None:
    """Every route that tells something."""
    client = scene.client
    frame = client.post("/frames/", json=record()).json()
    for route in (
        "/", "/frames/", "/versions/", "/profile/", "/health/", "/healthz", "/readyz", "/metrics", "/nothing",
        "/api/v1/openapi.json", f"/frames/{frame['id']}/", f"/frames/{frame['id']}/headers/",
        "/api/v1/events?limit=1000", "/api/v1/storage-configs", "/api/v1/observations", "/api/v1/transfers",
        "/api/v1/audit/account/admin",
    ):  # fmt: skip
        client.get(route)
    for row in client.get("/api/v1/storage-configs").json()["results"]:
        client.get(f"/api/v1/storage-configs/{row['id']}")
        client.get(f"/api/v1/audit/storage-config/{row['id']}")
    for row in client.get("/api/v1/transfers").json()["results"]:
        client.get(f"/api/v1/audit/transfer/{row['id']}")
        client.get(f"/api/v1/audit/frame/{row['frame']}")
