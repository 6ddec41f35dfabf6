"""An S3 bucket as a destination, set up and watched over HTTP (external storage S05, S22, S29, S40, S45, S53)."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.emulators.s3 import ALL_PERMISSIONS, RunningS3, running_s3
from tests.integration.api.deliveries import create, observe, transfer
from tests.integration.api.test_own_ingest import is_problem
from tests.records import fits_bytes, new_name
from tests.site import Site

CONFIGS = "/api/v1/storage-configs"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningS3]:
    with running_s3(tmp_path_factory.mktemp("s3")) as running:
        yield running


def s3_body(s3: RunningS3, **changes: Any) -> dict[str, Any]:
    """The body of a new S3 destination with a bucket and keys of its own."""
    bucket, access_key, secret_key = (secrets.token_hex(8) for _ in range(3))
    s3.emulator.create_bucket(bucket, {access_key: ALL_PERMISSIONS})
    s3.emulator.add_key(access_key, secret_key)
    credentials = {
        "endpoint": s3.url, "region": "us-east-1", "bucket": bucket, "access_key": access_key, "secret_key": secret_key,
    }  # fmt: skip
    return {"provider": "s3", "display_name": "Bucket", "credentials": credentials, **changes}


def objects(s3: RunningS3, body: dict[str, Any]) -> dict[str, bytes]:
    store = s3.emulator.store
    return {one.key: store.blob_path(str(one.blob)).read_bytes() for one in store.listed(body["credentials"]["bucket"])}


def test_s05_a_small_and_a_large_file_arrive_verified(site: Site, s3: RunningS3) -> None:
    body = s3_body(s3, destination_path="/night", path_template="$TARGET")
    card = create(site.user, body)
    assert card["credentials_set"] == ["access_key", "secret_key"]
    assert site.user.post(f"{CONFIGS}/{card['id']}/test").json()["ok"] is True
    assert objects(s3, body) == {}
    expected = {}
    for shape in ((64, 64), (2400, 2400)):
        number = observe(site.user, card["id"], target="M31")
        data, name = fits_bytes(BLKUID=number, shape=shape), new_name()
        site.ingest(data, f"{name}.fits")
        done = transfer(site.user, "completed", observation=number)
        expected[f"night/M31/{name}.fits"] = data
        assert done["destination_path"] == f"/night/M31/{name}.fits"
        assert done["bytes_sent"] == len(data)
        assert "crc32c" in done["verified"]
    assert objects(s3, body) == expected
    assert len(data) > 8 << 20
    assert len(s3.requests("PUT", rf"/{body['credentials']['bucket']}/night/.*partNumber=")) == 2


def test_s22_no_answer_holds_the_keys(site: Site, s3: RunningS3) -> None:
    body = s3_body(s3)
    card = create(site.user, body)
    s3.emulator.revoke(body["credentials"]["access_key"])
    site.user.post(f"{CONFIGS}/{card['id']}/test")
    site.user.patch(f"{CONFIGS}/{card['id']}", json={"comment": "x", "credentials": {"region": "eu-north-1"}})
    site.user.get(f"/api/v1/audit/storage-config/{card['id']}")
    site.settle()
    told = [answer.text for answer in site.answers]
    events = [str(recorded) for recorded in site.core.log.read(0, 10_000).events]
    for text in (*told, *events):
        assert body["credentials"]["secret_key"] not in text
        assert body["credentials"]["access_key"] not in text


def test_s29_a_second_test_beside_one_that_hangs_is_told_so(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as beside:
        silent.settimeout(20)
        credentials = {
            "endpoint": f"http://127.0.0.1:{silent.getsockname()[1]}", "bucket": "frames",
            "access_key": "k", "secret_key": "s",
        }  # fmt: skip
        card = create(site.user, {"provider": "s3", "display_name": "Silent", "credentials": credentials})
        route = f"{CONFIGS}/{card['id']}/test"
        first = beside.submit(site.client(site.user_token).post, route)
        connection, _ = silent.accept()
        assert "is being tested" in is_problem(site.user.post(route), 409)["detail"]
        silent.close()
        connection.close()
        assert first.result(timeout=60).json()["ok"] is False
    assert site.user.post(route).json()["ok"] is False


def test_s29_a_destination_that_cant_be_opened_has_failed_its_test(site: Site) -> None:
    credentials = {"endpoint": "https://a..b", "bucket": "frames", "access_key": "k", "secret_key": "s"}
    card = create(site.user, {"provider": "s3", "display_name": "Odd", "credentials": credentials})
    answer = site.user.post(f"{CONFIGS}/{card['id']}/test")
    assert answer.status_code == 200
    assert [(one["name"], one["ok"]) for one in answer.json()["checks"]] == [("credentials", False)]
    site.settle()
    assert site.user.get(f"{CONFIGS}/{card['id']}").json()["test_ok"] is False


def test_s45_refused_keys_hold_the_transfer_until_new_ones_come(site: Site, s3: RunningS3) -> None:
    body = s3_body(s3)
    card = create(site.user, body)
    route = f"{CONFIGS}/{card['id']}"
    s3.emulator.revoke(body["credentials"]["access_key"])
    number = observe(site.user, card["id"])
    data, name = fits_bytes(BLKUID=number), new_name()
    site.ingest(data, f"{name}.fits")
    held = transfer(site.user, "pending", when=lambda row: bool(row["held"]), observation=number)
    assert held["failures"] == 0
    result = site.user.post(f"{route}/test").json()
    assert [(check["name"], check["ok"]) for check in result["checks"]] == [("credentials", False)]
    assert "access keys" in result["checks"][0]["reason"]

    fresh = {"access_key": secrets.token_hex(8), "secret_key": secrets.token_hex(8)}
    s3.emulator.add_key(**fresh)
    s3.emulator.create_bucket(body["credentials"]["bucket"], {fresh["access_key"]: ALL_PERMISSIONS})
    assert site.user.patch(route, json={"credentials": fresh}).status_code == 200
    done = transfer(site.user, "completed", observation=number)
    assert objects(s3, body) == {f"{name}.fits": data}
    assert done["failures"] == 0


def test_s30_the_test_tells_a_missing_bucket_from_a_missing_right(site: Site, s3: RunningS3) -> None:
    body = s3_body(s3)
    route = f"{CONFIGS}/{create(site.user, body)['id']}"
    s3.emulator.create_bucket(body["credentials"]["bucket"], {"*": ["s3:ListBucket", "s3:GetObject"]})
    checks = site.user.post(f"{route}/test").json()["checks"]
    assert [(check["name"], check["ok"]) for check in checks][-1] == ("upload", False)
    assert "permission" in checks[-1]["reason"]
    s3.emulator.store.run("DELETE FROM buckets WHERE name = ?", body["credentials"]["bucket"])
    checks = site.user.post(f"{route}/test").json()["checks"]
    assert [(check["name"], check["ok"]) for check in checks][-1] == ("destination", False)
    assert "does not exist" in checks[-1]["reason"]


@pytest.mark.parametrize(
    "endpoint", ["http://10.1.2.3:9000", "https://169.254.169.254", "http://192.0.2.1", "https://[::1]"]
)
def test_s05_an_edit_cannot_lead_to_private_addresses_either(site: Site, s3: RunningS3, endpoint: str) -> None:
    card = create(site.user, s3_body(s3))
    answer = site.user.patch(f"{CONFIGS}/{card['id']}", json={"credentials": {"endpoint": endpoint}})
    assert "STARFERRY_S3_NETWORKS" in is_problem(answer, 400)["detail"]
    kept = site.user.get(f"{CONFIGS}/{card['id']}").json()
    assert endpoint not in json.dumps(kept)
