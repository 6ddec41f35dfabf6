"""What happens to transfers reaches those who may see them as it happens (server-sent events, row S58)."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec
import pytest
from psycopg_pool import AsyncConnectionPool

from api.settings import Settings
from application.commands.accounts import change_account
from application.permissions import Audience, Principal
from application.transfer_news import Sent
from domain.transfer_events import TransferRequested
from domain.transfers import stream_of
from projections.delivery_queries import DeliveryQueries
from projections.transfer_audience import AudienceQueries
from tests.integration.api.deliveries import create, folder_body, observe, transfer
from tests.integration.api.test_own_ingest import is_problem
from tests.integration.api.test_scopes import Scene
from tests.records import fits_bytes, new_name
from tests.site import CAUSE, PROPOSAL, Site, served

EVENTS = "/api/v1/transfers/events"


class Events:
    """The messages of an open stream, as a browser takes them apart."""

    def __init__(self, answer: httpx.Response) -> None:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        self._lines = answer.iter_lines()
        self.opened = self.next()

    def next(self) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for line in self._lines:
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                return {**fields, "data": msgspec.json.decode(fields["data"])}
        raise StopIteration

    def until(self, status: str) -> list[dict[str, Any]]:
        """The messages up to one that tells of this status."""
        found = [self.next()]
        while found[-1]["data"]["status"] != status:
            found.append(self.next())
        return found

    def end(self) -> None:
        """Read to the end, which comes in order."""
        with pytest.raises(StopIteration):
            self.next()


@contextmanager
def events(
    site: Site, token: str, *, url: str = "", route: str = EVENTS, last: str = "", **query: str
) -> Iterator[Events]:
    headers = {"Authorization": f"Token {token}", **({"Last-Event-ID": last} if last else {})}
    with (
        httpx.Client(trust_env=False, timeout=20) as client,
        client.stream("GET", (url or site.url) + route, headers=headers, params=query) as answer,
    ):
        yield Events(answer)


def deliver(site: Site, client: httpx.Client | None = None, **observation: str) -> int:
    """A file on its way to a folder; returns the observation's number."""
    client = client or site.user
    number = observe(client, create(client, folder_body(site))["id"], **observation)
    site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")
    return number


@pytest.mark.parametrize("route", [EVENTS, "/api/v1/stream"])
def test_s58_a_transfers_states_are_told_as_they_happen(site: Site, route: str) -> None:
    with events(site, site.user_token, route=route) as stream:
        assert stream.opened["event"] == "open"
        number = deliver(site)
        told = stream.until("completed")
    row = transfer(site.user, "completed", observation=number)
    assert [one["data"]["event"] for one in told] == [
        "transfer.requested", "transfer.started", "transfer.completed",
    ]  # fmt: skip
    assert {one["event"] for one in told} == {"state"}
    last = told[-1]["data"]
    assert (last["transfer"], last["observation"]) == (row["id"], str(number))
    for name in ("status", "destination_path", "bytes_sent", "bytes_total", "frame", "storage_config", "provider"):
        assert last[name] == row[name]
    positions = {
        entry["position"]: entry["event"]
        for entry in site.user.get(f"/api/v1/audit/transfer/{row['id']}").json()["results"]
    }
    assert {int(one["id"]): one["data"]["event"] for one in told} == positions


def test_s58_what_a_worker_says_between_events_is_told_to_those_who_may_see_it(site: Site) -> None:
    site.jobs.paused.set()
    try:
        number = deliver(site)
        row = transfer(site.user, "pending", observation=number)
        stranger = site.new_user(f"stranger-{secrets.token_hex(4)}")
        with events(site, site.user_token) as stream, events(site, stranger) as other:
            site.core.ferry("w").tell_progress(Sent(row["id"], 1, 7, 9))
            told = stream.next()
            own = deliver(site, site.client(stranger))
            assert other.next()["data"]["observation"] == str(own)
    finally:
        site.jobs.paused.clear()
    assert "id" not in told
    assert told["event"] == "progress"
    for name in ("frame", "observation", "storage_config", "destination_path", "content", "provider"):
        assert told["data"][name] == row[name]
    assert [told["data"][name] for name in ("transfer", "bytes_sent", "bytes_total")] == [row["id"], 7, 9]


def test_s58_a_failure_is_told_with_its_reason(site: Site) -> None:
    body = folder_body(site)
    with events(site, site.user_token) as stream:
        config = create(site.user, body)
        number = observe(site.user, config["id"])
        site.core.settings.data.joinpath(body["credentials"]["root"]).rmdir()
        site.ingest(fits_bytes(BLKUID=number), f"{new_name()}.fits")
        told = [stream.next() for _ in range(3)]
    assert [one["data"]["status"] for one in told[:2]] == ["pending", "in_progress"]
    row = site.user.get("/api/v1/transfers", params={"observation": number}).json()["results"][0]
    assert told[2]["data"]["error"]
    assert told[2]["data"]["transfer"] == row["id"]


def test_s58_whoever_comes_back_misses_nothing_and_hears_nothing_twice(site: Site) -> None:
    with events(site, site.user_token) as stream:
        start = stream.opened["id"]
        numbers = [deliver(site) for _ in range(3)]
        told: list[dict[str, Any]] = []
        while sum(one["data"]["status"] == "completed" for one in told) < len(numbers):
            told.append(stream.next())
    ids = [one["id"] for one in told]
    for last in [start, *ids[:-1]]:
        with events(site, site.user_token, last=last) as again:
            assert again.opened["id"] == last
            rest = [again.next() for _ in ids[ids.index(last) + 1 if last in ids else 0 :]]
        assert rest == told[len(told) - len(rest) :]
    with events(site, site.user_token, after=start, observation=str(numbers[1])) as filtered:
        assert [one["id"] for one in filtered.until("completed")] == [
            one["id"] for one in told if one["data"]["observation"] == str(numbers[1])
        ]


def test_s58_a_stranger_hears_of_their_own_transfers_alone(site: Site) -> None:
    token = site.new_user(f"stranger-{secrets.token_hex(4)}")
    with events(site, token) as stream:
        first = deliver(site)
        transfer(site.user, "completed", observation=first)
        own = deliver(site, site.client(token))
        assert {one["data"]["observation"] for one in stream.until("pending")} == {str(own)}


def test_s58_the_audience_of_a_transfer_is_who_sees_it_in_the_list(site: Site) -> None:
    scenes = [Scene(site, "organization"), Scene(site, "project")]
    proposer = site.client(site.new_user(f"proposer-{secrets.token_hex(4)}", proposals=(PROPOSAL,)))
    numbers = [deliver(site), deliver(site, proposer, project=PROPOSAL)]
    for scene in scenes:
        owner = scene.clients["owner"]
        project = scene.id if scene.kind == "project" else ""
        numbers.append(observe(owner, create(owner, scene.body())["id"], project=project))
        site.ingest(fits_bytes(), f"{new_name()}.fits", observation=str(numbers[-1]))
        site.settle()
        numbers.append(observe(owner, create(owner, folder_body(site))["id"], project=project))
        site.ingest(fits_bytes(), f"{new_name()}.fits", observation=str(numbers[-1]))
    site.settle()
    rows = [site.admin.get("/api/v1/transfers", params={"observation": n}).json()["results"] for n in numbers]
    requests = [_request(site, row["id"]) for found in rows for row in found]
    assert len(requests) == len(numbers)
    names = {"alice", "admin", "nobody", *(name for scene in scenes for name in scene.names.values())}
    viewers = [
        Principal(name, is_superuser=mighty, proposals=proposals)
        for name, mighty, proposals in itertools.product(names, (False, True), ((), (PROPOSAL,), ("P-OTHER",)))
    ]

    async def compare() -> int:
        seen = 0
        async with AsyncConnectionPool(site.core.conninfo, min_size=1, open=False) as pool:
            audiences = await AudienceQueries(pool).of(requests)
            lists = DeliveryQueries(pool)
            for viewer in viewers:
                listed = {row["id"] for row in await lists.transfers(viewer, {}, below=2**62, limit=1000)}
                for one in requests:
                    assert audiences[one.id].includes(viewer) is (one.id in listed), (viewer, one)
                    seen += one.id in listed
        return seen

    seen = asyncio.run(compare())
    assert 0 < seen < len(viewers) * len(requests)


def _request(site: Site, transfer_id: str) -> TransferRequested:
    event = site.core.log.load(stream_of(transfer_id))[0].event
    assert isinstance(event, TransferRequested)
    return event


def test_an_audience_without_a_proposal_isnt_those_without_one() -> None:
    assert not Audience(frozenset({"ana"})).includes(Principal("ben", proposals=("",)))


def test_s58_whose_account_is_switched_off_is_sent_away(site: Site) -> None:
    name = f"leaver-{secrets.token_hex(4)}"
    token = site.new_user(name)
    with events(site, token) as stream:
        change_account(site.core.log, site.core.clock, CAUSE, name, active=False)
        stream.end()
    site.settle()
    assert site.client(token).get(EVENTS).status_code == 401


def test_s58_only_who_is_known_may_listen_and_from_a_real_place(site: Site) -> None:
    is_problem(site.anonymous.get(EVENTS), 401)
    for query in ("after=x", "after=-1", "after=" + "9" * 30):
        is_problem(site.user.get(f"{EVENTS}?{query}"), 400)
    is_problem(site.user.get(EVENTS, headers={"Last-Event-ID": "v1"}), 400)
    assert site.user.head(EVENTS).status_code == 200


def test_s58_streams_end_in_order_when_the_process_stops(site: Site) -> None:
    settings = Settings({"DATABASE_URL": site.core.conninfo}, data=site.core.settings.data)
    with served(settings, site.core.conninfo) as url:
        with events(site, site.user_token, url=url) as left_early:
            assert left_early.opened["event"] == "open"
        stack = [events(site, site.user_token, url=url) for _ in range(3)]
        streams = [one.__enter__() for one in stack]
    for one, stream in zip(stack, streams, strict=True):
        stream.end()
        one.__exit__(None, None, None)
