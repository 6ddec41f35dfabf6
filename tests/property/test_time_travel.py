"""Whatever happens to frames later: as of a position, every query has the answer that it had then."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.log import PostgresEventLog
from adapters.sky.spherical_sky import SphericalSky
from application.permissions import Principal
from application.ports.event_log import Commit, Write
from domain import frames
from domain.event import Cause, Event
from domain.footprint import Footprint
from domain.frame_record import FrameRecord
from domain.frames import FileProcessed, FrameAmended, FrameDeleted, FrameVersion, RelatedFramesChanged
from domain.thumbnails import Thumbnail, ThumbnailAdded, ThumbnailRemoved
from projections.facets.projection import FacetsProjection
from projections.facets.query import FacetQueries, FacetSearch
from projections.frames.as_of import PastPool, past_pool
from projections.frames.past_values import PastValues
from projections.frames.projection import FramesProjection
from projections.frames.query import FrameQueries
from projections.frames.search import FrameSearch
from projections.rebuild import rebuild
from projections.runner import ProjectionRunner, create_missing

START = datetime(2026, 11, 1, 3, tzinfo=UTC)
OPERATOR = Principal("admin", is_superuser=True)
SKY = SphericalSky()
NAMES = tuple(f"tst1m0-fa12-20261101-{number:04d}-e00" for number in range(4))
NUMBERS = st.integers(0, len(NAMES) - 1)


def square(ra: float) -> Footprint:
    return Footprint((((ra, 1.0), (ra + 1, 1.0), (ra + 1, 2.0), (ra, 2.0), (ra, 1.0)),))


def records(name: str) -> st.SearchStrategy[FrameRecord]:
    return st.builds(
        FrameRecord,
        basename=st.just(name),
        observation_day=st.just(date(2026, 10, 31)),
        configuration_type=st.just("EXPOSE"),
        observation_date=st.sampled_from([None, *(START + timedelta(days=40 * day) for day in (-20, -1, 0, 3))]),
        public_date=st.sampled_from([None, START, START + timedelta(seconds=8), START + timedelta(days=9)]),
        proposal_id=st.sampled_from(["P1", "P2"]),
        instrument_id=st.just("fa12"),
        target_name=st.sampled_from(["M31", "M33", "NGC 1"]),
        site_id=st.sampled_from(["coj", "lsc"]),
        telescope_id=st.just("1m0a"),
        exposure_time=st.sampled_from([None, 1.0, 2.0]),
        observation_id=st.sampled_from([None, 7]),
        area=st.sampled_from([None, square(10.0), square(200.0)]),
        related=st.lists(st.sampled_from(NAMES), max_size=3).map(tuple),
    )


Step = tuple[str, int, FrameRecord, tuple[str, ...], bool]
STEPS: st.SearchStrategy[list[Step]] = st.lists(
    NUMBERS.flatmap(
        lambda number: st.tuples(
            st.sampled_from(["file", "file", "file", "amend", "relate", "delete", "picture", "no picture"]),
            st.just(number),
            records(NAMES[number]),
            st.lists(st.sampled_from(NAMES), max_size=2).map(tuple),
            st.booleans(),
        )
    ),
    min_size=6,
    max_size=14,
)


def step(what: str, number: int, *names: int, target: str = "M31") -> Step:
    """One of a story: what happens to a frame, that names others."""
    record = FrameRecord(
        basename=NAMES[number],
        observation_day=date(2026, 10, 31),
        observation_date=START,
        target_name=target,
        related=tuple(NAMES[name] for name in names),
    )
    return what, number, record, record.related, True


STORY = [
    step("file", 0, 1),  # names one that is still to come
    step("file", 1),
    step("file", 2, 0),
    step("file", 2, 0, 1),  # names one again
    step("relate", 2, 1),  # takes out what it names, and puts it back
    step("picture", 0, target="small"),
    step("picture", 0, target="large"),
    step("no picture", 0),
    step("picture", 1, target="small"),
    step("amend", 0, target="M33"),
    step("delete", 1),
    step("file", 1, 0),
    step("relate", 3),
    step("delete", 0),
]
"""Of each way to change something at least one."""


class Archive:
    """A log, its read models of frames, and what was answered at each position."""

    def __init__(self, database: str, log: PostgresEventLog, connection: psycopg.Connection[Any]) -> None:
        self.database, self.log, self.connection = database, log, connection
        self.models = [FramesProjection(SKY), FacetsProjection()]
        self.loop = asyncio.new_event_loop()
        live: AsyncConnectionPool[Any] = AsyncConnectionPool(
            database, min_size=1, max_size=2, kwargs={"autocommit": True}, open=False
        )
        self.pool = self._run(self._opened(live))
        self.past = self._run(self._opened(past_pool(database, "-c timezone=UTC", 2)))

    def close(self) -> None:
        self._run(self.pool.close())
        self._run(self.past.close())
        self.loop.close()

    def begin(self) -> None:
        """An empty log."""
        self.connection.execute("TRUNCATE starferry.starferry_events, starferry.projection RESTART IDENTITY")
        self.connection.execute("DROP SCHEMA IF EXISTS read_frames CASCADE; DROP SCHEMA IF EXISTS read_facets CASCADE")
        create_missing(self.connection, self.models)
        self.ids = itertools.count(1)
        self.there: dict[int, int] = {}
        self.streams: dict[int, int] = {}
        self.pictures: dict[int, Thumbnail] = {}
        self.now = START

    def happen(self, step: Step) -> None:
        """One thing happens to one frame, if it can."""
        event = self._event(*step[:4])
        if event is None:
            return
        number = step[1]
        self.now += timedelta(seconds=1)
        version = self.streams.get(number, 0)
        write = Write(frames.stream_of(NAMES[number]), version, (event,))
        self.log.append(Commit(writes=(write,), cause=Cause(actor="tester", via="cli"), at=self.now))
        self.streams[number] = version + 1

    def project(self) -> None:
        runner = ProjectionRunner(self.database, self.log, self.models)
        while runner.step(self.connection):
            pass

    def answers_now(self) -> bytes:
        facets = FacetQueries(self.pool)
        return self._run(self._answers(FrameQueries(self.pool, SKY, facets), facets, self.now))

    def answers_as_of(self, position: int, now: datetime) -> bytes:
        pool: Any = PastPool(self.past, position)
        return self._run(self._answers(FrameQueries(pool, SKY, None), PastValues(pool), now))

    def _event(self, what: str, number: int, record: FrameRecord, names: tuple[str, ...]) -> Event | None:
        frame = self.there.get(number)
        if what == "file":
            frame = self.there.setdefault(number, frame or next(self.ids))
            key = f"{next(self.ids):032x}"
            version = FrameVersion(id=next(self.ids), key=key, md5=key, extension=".fits", path=f"a/{key}")
            headers = msgspec.Raw(b'{"A":%d}' % version.id)
            return FileProcessed(frame_id=frame, record=record, headers=headers, versions=(version,))
        if frame is None:
            return None
        match what:
            case "amend":
                headers = msgspec.Raw(b'{"B":1}') if len(names) == 2 else msgspec.Raw(b"null")
                return FrameAmended(frame_id=frame, record=record, headers=headers)
            case "relate":
                return RelatedFramesChanged(frame_id=frame, added=names, removed=record.related)
            case "delete":
                del self.there[number]
                self.pictures.pop(number, None)
                return FrameDeleted(frame_id=frame, versions=())
            case "picture":
                old = self.pictures.get(number)
                new = Thumbnail(id=old.id if old else next(self.ids), basename=f"t{number}", extension=".jpg",
                                size=record.target_name, key=f"{next(self.ids)}", path="p")  # fmt: skip
                self.pictures[number] = new
                return ThumbnailAdded(frame_id=frame, thumbnail=new)
            case _:
                gone = self.pictures.pop(number, None)
                return ThumbnailRemoved(frame_id=frame, thumbnail=gone) if gone else None

    async def _answers(self, queries: FrameQueries, values: FacetQueries | PastValues, now: datetime) -> bytes:
        link: Callable[[int, str], str] = lambda number, name: f"{number}/{name}"  # noqa: E731
        found: list[Any] = []
        for search, options in (
            (FrameSearch(), {"thumbnails": link}),
            (FrameSearch(), {"limit": 2, "offset": 1}),
            (FrameSearch(), {"order": (("exposure_time", False), ("target_name", True)), "limit": 3}),
            (FrameSearch(target="m3"), {}),
            (FrameSearch(basename="0003"), {}),
            (FrameSearch(equal={"observation_id": 7, "site_id": "coj"}), {}),
            (FrameSearch(covers=SKY.parse("POINT(10.5 1.5)", "covers")), {}),
            (FrameSearch(public=False), {}),
        ):
            page = await queries.page(search, OPERATOR, now, link, exact_count=True, **options)  # type: ignore[arg-type]
            found.append((page.rows, page.count, page.more))
        for frame in range(1, 4):
            found.append(await queries.one(frame, FrameSearch(), OPERATOR, now, link, thumbnails=link))
            if found[-1]:
                found.append(await queries.headers_at(frame, FrameSearch(), OPERATOR, now))
                found.append(await queries.related_frames(frame, OPERATOR, now, link))
        found.append(await queries.versions(link))
        found.append(await values.everything(OPERATOR, now))
        for public in (False, True):
            span = FacetSearch(start=START - timedelta(days=50), end=START + timedelta(days=50), public=public)
            found.append(await values.within(span, OPERATOR, now))
        return msgspec.json.encode(found)

    async def _opened(self, pool: AsyncConnectionPool[Any]) -> AsyncConnectionPool[Any]:
        await pool.open()
        return pool

    def _run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)


@pytest.fixture(scope="module")
def archive(cluster: str, template: str) -> Iterator[Archive]:
    from tests.postgres import fresh_database

    with fresh_database(cluster, template=template) as database, psycopg.connect(database, autocommit=True) as own:
        log = PostgresEventLog(database)
        opened = Archive(database, log, own)
        yield opened
        opened.close()
        log.close()


@example(steps=STORY, rebuilt=True)
@given(steps=STEPS, rebuilt=st.booleans())
@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
def test_as_of_a_position_every_query_has_the_answer_that_it_had_then(
    archive: Archive, steps: list[Step], rebuilt: bool
) -> None:
    archive.begin()
    remembered: list[tuple[int, datetime, bytes]] = []
    for step in steps:
        archive.happen(step)
        if step[4]:  # otherwise several events come to the read models as one batch
            archive.project()
            remembered.append((archive.log.head(), archive.now, archive.answers_now()))
    archive.project()
    if rebuilt:
        for model in archive.models:
            result = rebuild(archive.database, archive.log, model, lambda *_: None)
            assert result.identical, result.tables
    for position, now, answer in remembered:
        same = archive.answers_as_of(position, now) == answer  # pytest takes minutes to show what differs
        assert same, f"as of {position}"
