"""Storage configurations, observations and transfers through the API, as tests want them."""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.emulators.gcs import RunningGcs
from tests.site import Site, eventually

_numbers = itertools.count(1_000_000)


def folder_body(site: Site, **changes: Any) -> dict[str, Any]:
    """The body of a new folder destination below the site's allowed root."""
    root = site.core.settings.data / "destinations" / secrets.token_hex(4)
    root.mkdir()
    return {"provider": "folder", "display_name": "NAS", "credentials": {"root": str(root)}, **changes}


def gcs_body(gcs: RunningGcs, account: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """The body of a new Cloud Storage destination with a bucket and an account of its own."""
    name = secrets.token_hex(6)
    gcs.emulator.create_bucket(name)
    account = account or gcs.emulator.new_account(f"{name}@emulated.iam.gserviceaccount.com")
    credentials = {"bucket": name, "service_account_json": json.dumps(account)}
    return {"provider": "google_cloud_storage", "display_name": "Bucket", "credentials": credentials, **changes}


def create(client: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    """Create a storage configuration and return its card."""
    answer = client.post("/api/v1/storage-configs", json=body)
    assert answer.status_code == 201, answer.text
    card: dict[str, Any] = answer.json()
    return card


def observe(client: httpx.Client, *destinations: str, **changes: Any) -> int:
    """Submit an observation with a number of its own and return that."""
    number = next(_numbers)
    body = {"name": "Night", "observation_id": number, "destinations": destinations, **changes}
    answer = client.post("/api/v1/observations", json=body)
    assert answer.status_code == 201, answer.text
    return number


def transfers(client: httpx.Client, **filters: Any) -> list[dict[str, Any]]:
    """What the list of transfers gives."""
    answer = client.get("/api/v1/transfers", params=filters)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["results"]
    return rows


def transfer(
    client: httpx.Client, status: str, *, when: Callable[[dict[str, Any]], bool] = lambda _: True, **filters: Any
) -> dict[str, Any]:
    """The one transfer that the filters find, once it has this status."""

    def look() -> dict[str, Any] | None:
        rows = transfers(client, **filters)
        assert len(rows) <= 1
        return rows[0] if rows and rows[0]["status"] == status and when(rows[0]) else None

    found = eventually(look, f"no transfer {filters} is {status}: {transfers(client, **filters)}")
    assert found is not None
    return found


def story(client: httpx.Client, kind: str, name: str) -> list[dict[str, Any]]:
    """The history that the audit tells."""
    answer = client.get(f"/api/v1/audit/{kind}/{name}")
    assert answer.status_code == 200, answer.text
    entries: list[dict[str, Any]] = answer.json()["results"]
    return entries


def objects(gcs: RunningGcs, bucket: str) -> dict[str, bytes]:
    """All objects of a bucket."""
    rows = gcs.emulator.store.run("SELECT name, blob FROM objects WHERE bucket = ?", bucket)
    return {name: Path(gcs.emulator.store.blob_path(blob)).read_bytes() for name, blob in rows}
