"""Those who listen hear what happens to their transfers: from one follower, without a gap, and for as long as they may
(row S58)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from adapters.event_store.memory import MemoryEventLog
from api.listener import MOST_WAITING
from api.transfer_feed import Means, TransferFeed
from application.permissions import Audience, Principal
from application.ports.event_log import Batch
from application.transfer_news import STATUSES, Sent, news_of
from domain import accounts, transfers
from domain.accounts import AccountChanged
from domain.errors import RetryLater
from domain.event import Event, Recorded
from domain.transfer_events import (
    CopyState,
    TransferCancelled,
    TransferChecked,
    TransferCheckFailed,
    TransferCheckpointed,
    TransferCheckRequested,
    TransferCleared,
    TransferHeld,
    TransferRecordsExpired,
    TransferRequested,
)
from tests.fakes.samples import completed, record, recorded, started, transfer_requested

ANA, BEN, EVE = Principal("ana"), Principal("ben", proposals=("P1",)), Principal("eve")
ROOT = Principal("root", is_superuser=True)


class CountingReader:
    """A Reader on a log in memory, as the real one is: of the topics alone."""

    def __init__(self, log: MemoryEventLog) -> None:
        self.log = log
        self.reads = 0
        self.away = 0

    async def head(self) -> int:
        return self.log.head()

    async def read(self, after: int, limit: int, topics: frozenset[str]) -> Batch:
        self.reads += 1
        if self.away:
            self.away -= 1
            raise RetryLater("The database can't be reached at the moment.")
        return self.log.read(after, limit, topics=topics)

    async def first(self, streams: Sequence[str]) -> Mapping[str, Recorded]:
        return {stream: history[0] for stream in streams if (history := self.log.load(stream))}


class Owners:
    """Audiences: the owner, and the members of P1 for what goes to `shared`."""

    asked = 0

    async def of(self, requests: Sequence[TransferRequested]) -> Mapping[str, Audience]:
        self.asked += 1
        return {
            one.id: Audience(frozenset({one.owner}), "P1" if one.storage_config == "shared" else "") for one in requests
        }


class Ringing:
    """A Wakeup that a test rings."""

    def __init__(self) -> None:
        self.callbacks: list[Callable[[], None]] = []
        self.stopped = False

    def on_growth(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def on_message(self, channel: str, callback: Callable[[str], None]) -> None:
        self.say = callback

    def start(self) -> None:
        self.ring()

    def stop(self) -> None:
        self.stopped = True

    def ring(self) -> None:
        for callback in self.callbacks:
            callback()


class Scene:
    """A feed with its surroundings."""

    def __init__(self, **means: Any) -> None:
        self.log, self.owners, self.wakeup = MemoryEventLog(), Owners(), Ringing()
        self.reader = CountingReader(self.log)
        self.forgotten = 0
        self.behind = 0
        self.feed = TransferFeed(
            Means(
                reader=self.reader,
                audiences=self.owners,
                wakeup=self.wakeup,
                reached=self._reached,
                forget=self._forget,
                **means,
            )
        )

    async def _reached(self, _: int) -> bool:
        await asyncio.sleep(0)
        self.behind -= 1
        return self.behind < 0

    def _forget(self) -> None:
        self.forgotten += 1

    def happens(self, transfer: str, *events: Event) -> int:
        position = record(self.log, transfers.stream_of(transfer), *events)
        self.wakeup.ring()
        return position


def requested(version: int, config: str, owner: str) -> TransferRequested:
    return msgspec.structs.replace(transfer_requested(version, config), owner=owner)


class Stream:
    """What one listener is sent, message by message."""

    def __init__(self, messages: AsyncIterator[bytes]) -> None:
        self._messages = messages

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(60):
            message = await anext(self._messages)
        fields = dict(line.split(": ", 1) for line in message.decode().splitlines() if line and line[0] != ":")
        return {**fields, "data": msgspec.json.decode(fields["data"])} if "data" in fields else fields

    async def ends(self) -> None:
        async with asyncio.timeout(60):
            async for _ in self._messages:
                pass


async def listening(scene: Scene, viewer: Principal, after: int | None = None, **filters: str) -> Stream:
    stream = Stream(scene.feed.listen(viewer, filters, after))
    assert (await stream.next())["event"] == "open"
    return stream


def story(scene: Scene) -> None:
    """Positions 1 to 8."""
    scene.happens("v1-a", requested(1, "a", "ana"), started())
    scene.happens("v2-shared", requested(2, "shared", "eve"))
    scene.happens("v1-a", TransferCheckpointed(attempt=1, bytes_sent=7), completed())
    scene.happens("v2-shared", TransferHeld(reason="It is full."), TransferCancelled(reason="Nobody wants it."))
    record(scene.log, "account:ana", accounts.PasswordSet())


def test_s58_each_hears_of_what_they_may_see_and_nothing_else() -> None:
    async def play() -> None:
        scene = Scene()
        streams = {viewer.username: await listening(scene, viewer) for viewer in (ANA, BEN, EVE, ROOT)}
        story(scene)
        expected = {"ana": [1, 2, 4, 5], "ben": [3, 6, 7], "eve": [3, 6, 7], "root": [1, 2, 3, 4, 5, 6, 7]}
        for name, positions in expected.items():
            heard = [await streams[name].next() for _ in positions]
            assert [int(one["id"]) for one in heard] == [one["data"]["position"] for one in heard] == positions
        await scene.feed.close()

    asyncio.run(play())


def test_s58_a_message_says_all_that_the_event_says() -> None:
    async def play() -> None:
        scene = Scene()
        stream = await listening(scene, ROOT)
        story(scene)
        heard = {int(one["id"]): one for one in [await stream.next() for _ in range(7)]}
        await scene.feed.close()
        assert [one["event"] for one in heard.values()] == ["state", "state", "state", "progress", *["state"] * 3]
        assert heard[4]["data"] | {"at": ""} == {
            "position": 4, "at": "", "event": "transfer.checkpointed", "transfer": "v1-a", "status": "in_progress",
            "held": False, "storage_config": "a", "provider": "folder", "observation": heard[1]["data"]["observation"],
            "frame": "m31", "content": "raw", "destination_path": heard[1]["data"]["destination_path"],
            "bytes_total": heard[1]["data"]["bytes_total"], "bytes_sent": 7, "attempt": 1, "next_attempt_at": None,
            "error": None,
        }  # fmt: skip
        assert (heard[6]["data"]["held"], heard[6]["data"]["error"]) == (True, "It is full.")
        assert (heard[7]["data"]["status"], heard[7]["data"]["held"]) == ("cancelled", False)

    asyncio.run(play())


def test_s58_every_event_of_a_transfer_is_told() -> None:
    own = {value for value in vars(transfers).values() if isinstance(value, type) and issubclass(value, Event)}
    housekeeping = {TransferCheckRequested, TransferCheckFailed, TransferCleared, TransferRecordsExpired}
    assert set(STATUSES) == own - {Event} - housekeeping


@pytest.mark.parametrize(("outcome", "failure"), [("verified", False), ("missing", True), ("changed", True)])
def test_s60_a_copy_that_is_lost_is_told_as_a_failure(outcome: CopyState, failure: bool) -> None:
    (checked,) = recorded(TransferChecked(outcome=outcome, reason="what is there"), stream="transfer:v1-a")
    news = news_of(checked, transfer_requested(1, "a"))
    assert (news.status, news.is_failure) == ("completed", failure)
    assert news.error == ("what is there" if failure else None)


def test_s58_whoever_comes_back_goes_on_without_a_gap_and_hears_nothing_twice() -> None:
    async def play() -> None:
        scene = Scene()
        story(scene)
        for after in range(9):
            stream = await listening(scene, ROOT, after)
            live = scene.happens("v1-a", TransferCancelled(reason="made up"))
            expected = [*range(after + 1, 8), *range(9, live + 1)]
            assert [int((await stream.next())["id"]) for _ in expected] == expected
        await scene.feed.close()

    asyncio.run(play())


def test_s58_an_id_from_beyond_the_log_means_from_now_on() -> None:
    async def play() -> None:
        scene = Scene()
        story(scene)
        stream = await listening(scene, ROOT, 10**12)
        live = scene.happens("v1-a", TransferCancelled(reason="made up"))
        assert int((await stream.next())["id"]) == live
        await scene.feed.close()

    asyncio.run(play())


def test_s58_filters_leave_out_the_others() -> None:
    async def play() -> None:
        scene = Scene()
        story(scene)
        stream = await listening(scene, ROOT, 0, storage_config="shared")
        assert [int((await stream.next())["id"]) for _ in range(3)] == [3, 6, 7]
        await scene.feed.close()

    asyncio.run(play())


def test_s58_many_listeners_cost_one_look_at_the_log_and_one_at_who_may_see_it() -> None:
    async def play(listeners: int) -> tuple[int, int]:
        scene = Scene()
        streams = [await listening(scene, ANA) for _ in range(listeners)]
        assert len(scene.feed) == listeners
        reads, asked = scene.reader.reads, scene.owners.asked
        scene.happens("v1-a", requested(1, "a", "ana"))
        for stream in streams:
            assert (await stream.next())["data"]["status"] == "pending"
        counts = scene.reader.reads - reads, scene.owners.asked - asked
        await scene.feed.close()
        return counts

    few, many = asyncio.run(play(2)), asyncio.run(play(300))
    assert many[1] == few[1] == 1
    assert many[0] <= few[0] + 1


def test_s58_nobody_follows_the_log_for_nobody() -> None:
    async def play() -> None:
        scene = Scene()
        messages = scene.feed.listen(ANA, {})
        await anext(messages)
        await messages.aclose()  # type: ignore[attr-defined]
        assert len(scene.feed) == 0
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reads = scene.reader.reads
        story(scene)
        await asyncio.sleep(0)
        assert scene.reader.reads == reads
        stream = await listening(scene, ANA)
        live = scene.happens("v1-a", TransferCancelled(reason="made up"))
        assert int((await stream.next())["id"]) == live
        await scene.feed.close()

    asyncio.run(play())


def test_s58_silence_is_broken_by_heartbeats_that_move_the_place_to_go_on_from() -> None:
    async def play() -> None:
        scene = Scene(heartbeat=0.01)
        stream = await listening(scene, EVE)
        story(scene)
        ids = [int((await stream.next())["id"]) for _ in range(4)]
        while ids[-1] < 8:
            ids.append(int((await stream.next())["id"]))
        assert ids == sorted(ids)
        await scene.feed.close()

    asyncio.run(play())


def test_s58_one_who_doesnt_keep_up_is_sent_away_and_the_others_stay() -> None:
    async def play() -> None:
        scene = Scene()
        slow, brisk = await listening(scene, ROOT), await listening(scene, ANA, storage_config="none")
        scene.happens("v1-a", requested(1, "a", "ana"), *[started()] * MOST_WAITING, completed())
        await slow.ends()
        scene.happens("v2-none", requested(2, "none", "ana"))
        assert (await brisk.next())["data"]["transfer"] == "v2-none"
        await scene.feed.close()

    asyncio.run(play())


def test_s58_whose_account_changes_must_say_anew_who_they_are() -> None:
    async def play() -> None:
        scene = Scene()
        ana, ben = await listening(scene, ANA), await listening(scene, BEN)
        changed = AccountChanged(is_superuser=False, is_staff=False, active=False, proposals=())
        record(scene.log, accounts.stream_of("ana"), changed)
        scene.happens("v2-shared", requested(2, "shared", "eve"))
        await ana.ends()
        assert scene.forgotten == 1
        assert (await ben.next())["data"]["transfer"] == "v2-shared"
        await scene.feed.close()

    asyncio.run(play())


def test_s58_a_stream_ends_when_its_time_is_over() -> None:
    async def play() -> None:
        scene = Scene(lifetime=0.01)
        await (await listening(scene, ANA)).ends()
        await scene.feed.close()

    asyncio.run(play())


def test_s58_nothing_is_lost_while_the_database_is_away_or_the_read_models_are_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def play() -> None:
        scene = Scene()
        stream = await listening(scene, ROOT)
        scene.reader.away, scene.behind = 2, 5
        story(scene)
        assert [int((await stream.next())["id"]) for _ in range(7)] == [1, 2, 3, 4, 5, 6, 7]
        await scene.feed.close()

    monkeypatch.setattr("api.transfer_feed.RETRY_SECONDS", 0.0)
    asyncio.run(play())


def test_s58_all_streams_end_when_the_process_stops_and_none_begins() -> None:
    async def play() -> None:
        scene = Scene()
        streams = [await listening(scene, viewer) for viewer in (ANA, ROOT)]
        scene.feed.send_away()
        for stream in streams:
            await stream.ends()
        await Stream(scene.feed.listen(ANA, {})).ends()
        await scene.feed.close()
        assert scene.wakeup.stopped

    asyncio.run(play())


def test_s58_progress_between_events_is_told_without_an_id_to_those_who_may_see_it() -> None:
    async def play() -> None:
        scene = Scene(gather=0.1)
        ana, root, eve = [await listening(scene, viewer) for viewer in (ANA, ROOT, EVE)]
        scene.happens("v1-a", requested(1, "a", "ana"), started())
        for stream in (ana, root):
            assert [(await stream.next())["data"]["status"] for _ in range(2)] == ["pending", "in_progress"]
        scene.wakeup.say(said("v1-a", 10))
        scene.wakeup.say(said("v9-unknown", 10))
        for stream in (ana, root):
            told = await stream.next()
            assert "id" not in told
            assert told["event"] == "progress"
            assert told["data"]["event"] == "transfer.progress"
            assert (told["data"]["transfer"], told["data"]["bytes_sent"], told["data"]["bytes_total"]) == (
                "v1-a",
                10,
                99,
            )
        scene.wakeup.say(said("v1-a", 20))
        scene.happens("v1-a", completed())
        scene.happens("v2-b", requested(2, "b", "eve"))
        assert (await ana.next())["data"]["status"] == "completed", "what was said before is no news any more"
        assert (await eve.next())["data"]["transfer"] == "v2-b"
        await scene.feed.close()

    asyncio.run(play())


def said(transfer: str, bytes_sent: int) -> str:
    return msgspec.json.encode(Sent(transfer, 1, bytes_sent, 99)).decode()
