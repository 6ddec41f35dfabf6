"""What the delivery benchmarks share: a destination, an observation, a file of it, and the wait for its copy."""

from __future__ import annotations

import json
import secrets
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import requests

from adapters.event_store.log import PostgresEventLog
from domain.event import Recorded
from tests.benchmarks.fits_files import write_fits
from tests.benchmarks.frames import Payload
from tests.benchmarks.installation import Installation, new_name
from tests.benchmarks.sinks import BUCKET, Sink, agree

POLL_SECONDS = 0.05


class Deliveries:
    """Gives commands through the API and reads what came of them from the database."""

    def __init__(self, installation: Installation, address: str) -> None:
        self._address = address
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Token {installation.token()}"
        self._connection = psycopg.connect(installation.conninfo, autocommit=True)
        self._log = PostgresEventLog(installation.conninfo)

    def close(self) -> None:
        """Give all connections back."""
        self._session.close()
        self._connection.close()
        self._log.close()

    def folder(self, root: Path) -> str:
        """A folder destination's id."""
        return self._destination("folder", {"root": str(root)})

    def sink(self, sink: Sink) -> str:
        """The id of a destination at an emulator, authorized by its owner where that is needed."""
        destination = self._destination(sink.provider, sink.credentials)
        if sink.consent:
            agree(str(self._post(f"storage-configs/{destination}/authorize", {})["authorization_url"]))
        return destination

    def gcs(self, key: str) -> str:
        """A Cloud Storage destination's id."""
        return self._destination("google_cloud_storage", {"bucket": BUCKET, "service_account_json": key})

    def observation(self, number: int, *destinations: str) -> None:
        """An observation whose files go to the destinations."""
        self._post("observations", {"name": new_name("b"), "observation_id": number, "destinations": destinations})

    def ingest(self, path: Path) -> None:
        """Send a file in."""
        with path.open("rb") as file:
            answer = self._session.post(f"{self._address}/api/v1/ingest", files={"file": file}, timeout=120)
        _checked(answer)

    def wait(self, destination: str, count: int, seconds: float = 120.0) -> None:
        """Until so many transfers to the destination are completed. Raises TimeoutError, with what there is."""
        statement = "SELECT status, count(*) FROM read_transfers.transfer WHERE storage_config = %s GROUP BY 1"
        deadline = time.monotonic() + seconds
        while True:
            found: dict[str, int] = dict(self._connection.execute(statement, (destination,)).fetchall())
            if found.get("completed", 0) >= count:
                return
            if time.monotonic() > deadline or found.get("failed"):
                raise TimeoutError(f"The copies didn't arrive; there are {found}.")
            time.sleep(POLL_SECONDS)

    def transfers(self, destination: str) -> list[tuple[str, str, str]]:
        """Id, frame and path of the copies, in the order in which they were requested."""
        statement = (
            "SELECT id, frame, destination_path FROM read_transfers.transfer WHERE storage_config = %s ORDER BY number"
        )
        return self._connection.execute(statement, (destination,)).fetchall()

    def histories(self, streams: list[str]) -> dict[str, list[Recorded]]:
        """All events of streams."""
        return {stream: list(events) for stream, events in self._log.load_many(streams).items()}

    def _destination(self, provider: str, credentials: dict[str, str]) -> str:
        body = {
            "provider": provider,
            "display_name": new_name("d"),
            "destination_path": "/",
            "credentials": credentials,
        }
        return str(self._post("storage-configs", body)["id"])

    def _post(self, what: str, body: dict[str, Any]) -> Any:
        answer = self._session.post(f"{self._address}/api/v1/{what}", data=json.dumps(body), timeout=60)
        return _checked(answer)


def new_observation() -> int:
    """A number that no observation has yet, also on a kept data folder; nine digits, above the generators' numbers."""
    return 500_000_000 + secrets.randbelow(400_000_000)


def raw_file(folder: Path, frame: Payload, size: int, observation: int) -> Path:
    """A raw file of an observation."""
    name = new_name(f"bench0m4-ab00-{observation}-")
    raw = {**frame, "basename": f"{name}-e00"}
    return write_fits(folder, raw, size, BLKUID=observation, RLEVEL=0, OBSTYPE="EXPOSE")


def time_of(history: list[Recorded], topic: str) -> datetime:
    """When the first event of this topic happened."""
    return next(recorded.at for recorded in history if recorded.event.topic == topic)


def _checked(answer: requests.Response) -> Any:
    if answer.status_code >= 400:
        raise RuntimeError(f"{answer.url} answered {answer.status_code}: {answer.text[:300]}")
    return answer.json()
