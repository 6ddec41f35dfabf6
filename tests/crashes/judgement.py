"""What must be true when all is quiet again, each told in a sentence where it isn't."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psycopg

from api.bootstrap import open_core
from api.settings import Settings
from domain.event import Event
from domain.frames import FileDeletedFromServer
from domain.transfer_events import TransferCompleted, TransferRequested
from tests.crashes.installation import Installation
from tests.crashes.load import Load, Sent

LONG_AGO = 48 * 3600
"""Seconds: older than what the rules for leftovers spare."""
QUIET = {
    "transfers that aren't over": "SELECT count(*) FROM read_transfers.transfer "
    "WHERE status NOT IN ('completed', 'cancelled')",
    "transfers that wait for a place": "SELECT count(*) FROM starferry.waiting_transfer",
    "jobs that wait": "SELECT count(*) FROM procrastinate.procrastinate_jobs WHERE status = 'todo'",
    "sessions of uploads that are over": "SELECT count(*) FROM vault.data_key WHERE owner LIKE 'upload:%'",
    "read models that stopped": "SELECT count(*) FROM starferry.projection WHERE failure <> ''",
    "read models that are behind": "SELECT count(*) FROM starferry.projection WHERE position < "
    "(SELECT max(notification_id) FROM starferry.starferry_events)",
    "dead letters": "SELECT count(*) FROM starferry.dead_letter",
}
"""What must come to nothing by itself."""
PATIENTLY = {
    "jobs of dead workers": "SELECT count(*) FROM procrastinate.procrastinate_jobs j WHERE status <> 'todo' "
    "AND NOT EXISTS (SELECT FROM procrastinate.procrastinate_workers w WHERE w.id = j.worker_id "
    "AND w.last_heartbeat > now() - interval '1 minute')",
}
"""The same, but it takes more than a minute until a worker is taken for dead. (Where the end of a job could not be
recorded, for its session was killed, the row stays with its living worker for a day.)"""


class Destination(msgspec.Struct, frozen=True):
    """A configuration and how to see what is there: bytes by file name. `moves` is whether files are then deleted from
    the server."""

    id: str
    look: Callable[[], list[tuple[str, bytes]]]
    moves: bool = False


def unquiet(conninfo: str, queries: Mapping[str, str]) -> dict[str, int]:
    """What of these is still there, with how many; raises OperationalError while the database is away."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        counts = {what: connection.execute(query.encode()).fetchone() for what, query in queries.items()}
    return {what: row[0] for what, row in counts.items() if row and row[0]}


def await_quiet(installation: Installation, seconds: float, *, patiently: bool) -> list[str]:
    """Wait until everything runs and nothing is left to do; what is still there then."""
    queries = QUIET | (PATIENTLY if patiently else {})
    deadline = time.monotonic() + seconds
    left: dict[str, int] = {}
    while time.monotonic() < deadline:
        if installation.is_ready():
            try:
                left = unquiet(installation.conninfo, queries)
            except psycopg.Error:
                left = {"databases that can't be reached": 1}
            if not left:
                return []
        else:
            left = {"installations that aren't ready": 1}
        time.sleep(0.2)
    trouble = f"; the supervisor met {installation.failure!r}" if installation.failure else ""
    return [f"{count} {what} after {seconds:.0f} s{trouble}" for what, count in left.items()]


def judge(installation: Installation, token: str, load: Load, destinations: Mapping[str, Destination]) -> list[str]:
    """Everything that is wrong. Nothing runs on the load's side any more, and all is quiet."""
    with httpx.Client(
        base_url=installation.url, headers={"Authorization": f"Token {token}"}, trust_env=False, timeout=60
    ) as client:
        rows = Counter[str]()
        links: dict[str, list[str]] = {}
        for row in _pages(client, "/frames/?limit=1000"):
            rows[row["basename"]] += 1
            links.setdefault(row["basename"], []).append(row["url"])
        transfers = list(_pages(client, "/api/v1/transfers?limit=1000"))
        stories = _stories(installation)
        there = [one for one in load.sent if rows[one.basename]]
        moved = {
            name for name, events in stories.items() for event in events if isinstance(event, FileDeletedFromServer)
        }
        wrong = [
            *load.complaints,
            *_frames(load.sent, rows),
            *_bytes(client, there, links, moved, load, destinations),
            *_store(installation.data / "files", there, moved, load),
            *_transfers(there, load, destinations, transfers, stories),
        ]
        for name, destination in destinations.items():
            wrong += _copies(name, destination, there, load)
        if client.get("/readyz").status_code != 200:
            wrong.append("/readyz isn't green")
    return wrong


def leftovers(files: Path) -> list[str]:
    """Arriving files that are still there although they are old and a process has started since (see `age`)."""
    return [f"the leftover {path.name} wasn't removed" for path in _incoming(files)]


def age(files: Path) -> int:
    """Make what lies among the arriving files look old, so that the next start removes it; how many there are."""
    found = _incoming(files)
    for path in found:
        then = time.time() - LONG_AGO
        os.utime(path, (then, then))
    return len(found)


def verified(installation: Installation) -> list[str]:
    """Whether a rebuild of every read model gives what is there."""
    done = installation.run("projections", "rebuild", "all", "--verify")
    different = [line for line in done.stdout.splitlines() if "DIFFERENT" in line]
    if done.returncode and not different:
        return [f"the rebuild failed: {done.stderr[-500:]}"]
    return different


def _frames(sent: list[Sent], rows: Counter[str]) -> Iterator[str]:
    names = {one.basename for one in sent}
    for one in sent:
        if one.known and not rows[one.basename]:
            yield f"{one.basename} was acknowledged and is lost"
        if rows[one.basename] > 1:
            yield f"{one.basename} is there {rows[one.basename]} times"
    yield from (f"nobody sent {name}" for name in rows.keys() - names)


def _bytes(
    client: httpx.Client,
    there: list[Sent],
    links: Mapping[str, list[str]],
    moved: set[str],
    load: Load,
    destinations: Mapping[str, Destination],
) -> Iterator[str]:
    """What a download gives; and a file is deleted from the server only where that was wanted."""
    moving = {destination.id for destination in destinations.values() if destination.moves}
    for one in there:
        wanted = bool(moving & set(load.wishes[one.observation]))
        if wanted != (one.basename in moved):
            yield f"{one.basename} is {'still' if wanted else 'no longer'} on the server"
        if one.basename in moved:
            continue
        (link,) = links[one.basename]
        if client.get(link).content != one.data:
            yield f"{one.basename} has other bytes than were sent"


def _store(files: Path, there: list[Sent], moved: set[str], load: Load) -> Iterator[str]:
    """The file store holds what is there, and nothing else but what was whole when the API was killed and whose sender
    never asked again: nobody sees that, and the first who sends it again has it (docs/operating.md)."""
    wanted = Counter(one.data for one in there if one.basename not in moved)
    names = {one.basename for one in there}
    given_up = {one.data for one in load.sent if not one.known and one.basename not in names}
    for path in _stored(files):
        data = path.read_bytes()
        if wanted[data]:
            wanted[data] -= 1
        elif data not in given_up:
            yield f"{path.name} is in the file store, and nobody knows of it"
    if wanted.total():
        yield f"{wanted.total()} files are missing in the file store"


def _transfers(
    there: list[Sent],
    load: Load,
    destinations: Mapping[str, Destination],
    transfers: list[dict[str, Any]],
    stories: Mapping[str, list[Event]],
) -> Iterator[str]:
    """Every wanted one was asked for once, and completed once with a proof; the list says so."""
    names = {destination.id: name for name, destination in destinations.items()}
    wanted = {(one.basename, config) for one in there for config in load.wishes[one.observation]}
    asked, done = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for events in stories.values():
        of: tuple[str, str] | None = None
        for event in events:
            if isinstance(event, TransferRequested):
                of = (event.frame, event.storage_config)
                asked[of] += 1
            if isinstance(event, TransferCompleted) and of:
                done[of] += 1
                if not event.verified:
                    yield f"the copy of {of[0]} in the {names[of[1]]} wasn't verified"
    for frame, config in wanted | asked.keys():
        counts = asked[frame, config], done[frame, config]
        if counts != ((1, 1) if (frame, config) in wanted else (0, 0)):
            yield f"{frame} for the {names[config]} was asked for {counts[0]} times and completed {counts[1]} times"
    listed = Counter((row["frame"], row["storage_config"], row["status"]) for row in transfers)
    if listed != Counter((frame, config, "completed") for frame, config in wanted):
        yield "the list of transfers says something else"


def _copies(name: str, destination: Destination, there: list[Sent], load: Load) -> Iterator[str]:
    wanted = {f"{one.basename}.fits": one.data for one in there if destination.id in load.wishes[one.observation]}
    found = destination.look()
    if len(found) != len(wanted):
        yield f"there are {len(found)} files in the {name}, not {len(wanted)}"
    for file, data in found:
        if wanted.get(file) != data:
            yield f"{file} in the {name} isn't what was sent"


def _pages(client: httpx.Client, first: str) -> Iterator[dict[str, Any]]:
    page: str | None = first
    while page:
        answer = client.get(page)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        yield from body["results"]
        page = body.get("next") or (f"{first}&cursor={body['next_cursor']}" if body.get("next_cursor") else None)


def _stories(installation: Installation) -> dict[str, list[Event]]:
    """What happened to frames, by basename, and to transfers, by stream."""
    topics = [event.topic for event in (FileDeletedFromServer, TransferRequested, TransferCompleted)]
    settings = Settings(installation.environment, data=installation.data)
    stories: dict[str, list[Event]] = {}
    with open_core(settings, installation.conninfo) as core:
        position, head = 0, core.log.head()
        while position < head:
            batch = core.log.read(position, 5000, topics=topics)
            position = batch.upto
            for one in batch.events:
                stories.setdefault(one.stream.removeprefix("frame:"), []).append(one.event)
    return stories


def _stored(files: Path) -> Iterator[Path]:
    return (path for path in files.rglob("*") if path.is_file() and ".incoming" not in path.parts)


def _incoming(files: Path) -> list[Path]:
    return [path for path in (files / ".incoming").glob("*") if path.name != "lock"]
