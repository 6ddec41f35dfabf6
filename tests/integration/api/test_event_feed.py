"""`/api/v1/events`: pages that may be waited for, and streams, without gaps; for superusers."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import httpx
import pytest

from api.event_feed import EventFeed, Question
from api.security import CACHE_SECONDS
from application.commands.accounts import change_account
from application.ports.audit import EventFilter
from domain.errors import RetryLater
from tests.integration.api.test_own_ingest import is_problem
from tests.integration.api.test_transfer_events import Events
from tests.integration.waiting import Started
from tests.records import record
from tests.site import CAUSE, Site, served

FEED = "/api/v1/events"


@contextmanager
def stream(site: Site, token: str = "", *, url: str = "", last: str = "", **query: str) -> Iterator[Events]:
    headers = {"Authorization": f"Token {token or site.admin_token}", "Accept": "text/event-stream"}
    headers |= {"Last-Event-ID": last} if last else {}
    with (
        httpx.Client(trust_env=False, timeout=20) as client,
        client.stream("GET", (url or site.url) + FEED, headers=headers, params=query) as answer,
    ):
        yield Events(answer)


def page(site: Site, **query: Any) -> dict[str, Any]:
    answer = site.admin.get(FEED, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_reader_who_goes_on_from_next_meets_every_event_once(site: Site) -> None:
    for _ in range(5):
        site.post(record())
    site.settle()
    head = site.core.log.head()
    for filters in ({}, {"kind": "frame"}, {"actor": "admin"}):
        seen, after = [], 0
        while after < head:
            found = page(site, after=after, limit=2, **filters)
            assert found["next"] > after
            seen += [entry["position"] for entry in found["results"]]
            after = found["next"]
        whole = [entry["position"] for entry in page(site, limit=1000, **filters)["results"]]
        assert seen == whole
        assert bool(filters) or seen == list(range(1, head + 1))
    assert page(site, after=head + 7) == {"results": [], "next": head + 7, "head": head}


@pytest.mark.parametrize("filters", [{}, {"kind": "frame.file_processed"}, {"via": "ocs"}], ids=str)
def test_a_page_is_waited_for(site: Site, filters: dict[str, str]) -> None:
    after = site.core.log.head()
    answers: list[dict[str, Any]] = []
    asking = Started(lambda: answers.append(page(site, after=after, wait=20, **filters)))
    created = site.post(record())
    asking.finish()
    assert [entry["stream"] for entry in answers[0]["results"]] == [f"frame:{created['basename']}"]
    assert answers[0]["next"] <= answers[0]["head"]


def test_a_wait_for_what_doesnt_come_ends_in_time_and_moves_on(site: Site) -> None:
    before = site.core.log.head()
    site.post(record())
    site.settle()
    began = time.monotonic()
    found = page(site, after=before, wait=1, kind="standing_delivery.ended")
    assert time.monotonic() - began >= 1
    assert found == {"results": [], "next": site.core.log.head(), "head": site.core.log.head()}


def test_headers_are_given_only_to_those_who_ask(site: Site) -> None:
    after = site.core.log.head()
    site.post(record())
    (plain,) = page(site, after=after)["results"]
    (whole,) = page(site, after=after, headers=1)["results"]
    assert "headers" not in plain["data"]
    assert whole["data"].pop("headers")
    assert whole == plain


def test_a_stream_tells_what_comes_and_goes_on_where_it_broke(site: Site) -> None:
    start = site.core.log.head()
    names = [site.post(record())["basename"] for _ in range(3)]
    with stream(site, after=str(start), kind="frame.file_processed") as first:
        assert first.opened["data"] == {"position": start}
        told = [first.next()]
    with stream(site, last=told[0]["id"], kind="frame.file_processed") as second:
        told += [second.next(), second.next()]
        names.append(site.post(record())["basename"])
        told.append(second.next())
    assert [one["data"]["stream"] for one in told] == [f"frame:{name}" for name in names]
    assert [one["id"] for one in told] == [str(one["data"]["position"]) for one in told]
    assert told[0]["data"] == page(site, after=start, limit=1)["results"][0]


def test_the_feed_is_for_superusers_and_ends_for_those_who_are_none_any_more(site: Site) -> None:
    for client, status in ((site.user, 403), (site.anonymous, 401)):
        is_problem(client.get(FEED), status)
        is_problem(client.get(FEED, headers={"Accept": "text/event-stream"}), status)
    name = f"boss-{secrets.token_hex(4)}"
    token = site.new_user(name, superuser=True)
    with stream(site, token, after=str(site.core.log.head())) as open_stream:
        site.post(record())
        open_stream.next()
        core = site.core
        change_account(core.log, core.clock, CAUSE, name, is_superuser=False)
        remembered = CACHE_SECONDS + 10  # who somebody is
        ends = time.monotonic() + remembered
        with suppress(StopIteration):
            while time.monotonic() < ends:
                site.post(record())
                open_stream.next()
        assert time.monotonic() < ends, "it goes on"


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "after=99999999999999999999", "limit=1001", "wait=61", "wait=1.5", "headers=maybe",
              "afte=3"],
)  # fmt: skip
def test_bad_questions_are_problems(site: Site, query: str) -> None:
    is_problem(site.admin.get(f"{FEED}?{query}"), 400)
    is_problem(site.admin.get(f"{FEED}?{query}", headers={"Accept": "text/event-stream"}), 400)


def test_a_stream_ends_in_order_when_the_process_stops(site: Site) -> None:
    with ExitStack() as stack:
        with served(site.core.settings, site.core.conninfo) as url:
            events = stack.enter_context(stream(site, url=url, after=str(site.core.log.head())))
        events.end()


class Grown:
    """A wake-up that a test rings."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[], None]] = []

    def on_growth(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


class TestAFeed:
    """By itself, with its limits made small."""

    def feed(self, site: Site, **limits: Any) -> EventFeed:
        return EventFeed(site.core.event_search(), Grown(), **limits)

    def question(self, site: Site) -> Question:
        return Question(wanted=EventFilter(), after=site.core.log.head())

    async def may(self) -> bool:
        return True

    def test_says_that_it_is_still_there(self, site: Site) -> None:
        async def listen() -> list[bytes]:
            heard = self.feed(site, heartbeat=0.02).stream(self.question(site), self.may)
            messages = [await anext(heard) for _ in range(3)]
            await close(heard)
            return messages

        opened, *beats = asyncio.run(listen())
        assert b"event: open" in opened
        assert beats == [b": still here\nid: %d\n\n" % site.core.log.head()] * 2

    def test_goes_on_saying_so_while_the_read_model_stands_still(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A filter asks the read model; the log is ahead of it for as long as it has stopped."""
        site.settle()
        head = site.core.log.head()
        monkeypatch.setattr("projections.audit.queries.AuditIndex.reached", lambda self, at_least=0: head - 1)
        question = Question(wanted=EventFilter(actor="nobody"), after=head - 1)

        async def listen() -> list[bytes]:
            heard = self.feed(site, heartbeat=0.1).stream(question, self.may)
            messages = [await anext(heard) for _ in range(3)]
            await close(heard)
            return messages

        assert asyncio.run(listen())[1:] == [b": still here\nid: %d\n\n" % (head - 1)] * 2

    def test_sends_listeners_away_after_a_time(self, site: Site) -> None:
        async def listen() -> int:
            heard = self.feed(site, heartbeat=0.02, lifetime=0.1).stream(self.question(site), self.may)
            return len([message async for message in heard])

        assert asyncio.run(listen()) >= 2

    def test_takes_no_more_listeners_than_it_can_bear_and_gives_places_back(self, site: Site) -> None:
        async def listen() -> None:
            feed = self.feed(site, most=2)
            question = self.question(site)
            open_streams = [feed.stream(question, self.may) for _ in range(2)]
            for heard in open_streams:
                await anext(heard)
            assert len(feed) == 2
            with pytest.raises(RetryLater):
                feed.check_place()
            with pytest.raises(RetryLater):
                await feed.page(question, 10, wait=1)
            assert not (await feed.page(question, 10)).events
            for heard in open_streams:
                await close(heard)
            assert len(feed) == 0
            feed.check_place()

        asyncio.run(listen())

    def test_ends_waits_too_when_the_process_stops(self, site: Site) -> None:
        async def wait() -> int:
            feed = self.feed(site)
            waiting = asyncio.create_task(feed.page(self.question(site), 10, wait=60))
            while not len(feed):
                await asyncio.sleep(0)
            feed.send_away()
            return len((await asyncio.wait_for(waiting, 10)).events)

        assert asyncio.run(wait()) == 0


async def close(heard: AsyncIterator[bytes]) -> None:
    await heard.aclose()  # type: ignore[attr-defined]
