"""Facets against a plain model of the frames: any events, in any batches, asked by anybody (rows E02, E03, X03)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from random import Random

import msgspec
import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from application.permissions import ANONYMOUS, Principal
from domain.event import Cause, Event, Recorded
from domain.frame_record import FrameRecord
from domain.frames import FileProcessed, FrameAmended, FrameDeleted, FrameVersion
from projections.facets.projection import FacetsProjection
from projections.facets.query import NEVER, FacetQueries, FacetSearch, Values
from projections.facets.tables import DIMENSIONS
from projections.projection import checksum_query
from projections.runner import build_schema

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FRAMES = 40
NAMES: dict[str, tuple[str, ...]] = {
    "site_id": ("coj", "tst", ""),
    "telescope_id": ("1m0a",),
    "primary_optical_element": ("rp", "gp", ""),
    "instrument_id": ("fa12", "rp"),  # one text in two dimensions
    "configuration_type": ("EXPOSE",),
    "proposal_id": ("P0", "P1", "P2", ""),
}
VIEWERS = (
    ANONYMOUS,
    Principal("ada", proposals=("P1", "PX")),
    Principal("bob", proposals=("P1", "P2")),
    Principal("eve"),
    Principal("root", is_superuser=True),
)


class Archive:
    """Random events, and what the frames are after them."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.frames: dict[int, tuple[FrameRecord, bool]] = {}
        self.position = 0

    def events(self, count: int) -> list[Recorded]:
        return [self._recorded(self._event()) for _ in range(count)]

    def _recorded(self, event: Event) -> Recorded:
        self.position += self.chance.randint(1, 3)
        return Recorded(f"frame:{event.frame_id}", 1, self.position, NOW, Cause(actor="t", via="cli"), event)  # type: ignore[attr-defined]

    def _event(self) -> Event:
        number = self.chance.randrange(1, FRAMES)
        record, versioned = self.frames.get(number, (self._record(number), False))
        if self.chance.random() < 0.6:
            record = self._record(number)
        kind = self.chance.choice(("file", "file", "amended", "bare", "deleted"))
        if kind == "deleted":
            self.frames.pop(number, None)
            return FrameDeleted(frame_id=number, versions=())
        self.frames[number] = (record, versioned or kind == "file")
        if kind == "amended":
            return FrameAmended(frame_id=number, record=record)
        version = FrameVersion(id=self.position + 1, key="k", md5="m", extension=".fits")
        versions = (version,) if kind == "file" else ()
        return FileProcessed(frame_id=number, record=record, headers=msgspec.Raw(b"{}"), versions=versions)

    def _record(self, number: int) -> FrameRecord:
        chance = self.chance
        return FrameRecord(
            basename=f"f{number}",
            observation_day=date(2026, 11, 1),
            observation_date=None if chance.random() < 0.1 else self.moment(),
            public_date=chance.choice((None, NOW, NOW - timedelta(days=1), NOW + timedelta(days=1))),
            **{name: chance.choice(texts) for name, texts in NAMES.items()},
        )

    def moment(self) -> datetime:
        return datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=self.chance.randrange(60), minutes=30)

    def search(self) -> FacetSearch:
        names = [name for name in NAMES if self.chance.random() < 0.2]
        return FacetSearch(
            start=self.moment(),
            end=self.moment() + timedelta(hours=self.chance.randrange(30)),
            public=self.chance.random() < 0.6,
            equal={name: self.chance.choice((*NAMES[name], "none")) for name in names},
        )

    def within(self, search: FacetSearch, viewer: Principal) -> Values:
        """What the contract says, frame by frame."""
        return _values(
            record
            for record in self._counted()
            if record.observation_date is not None
            and search.start <= record.observation_date < search.end
            and all(getattr(record, name) == text for name, text in search.equal.items())
            and ((search.public and _public(record)) or (_own(record, viewer) and not _public(record)))
        )

    def everything(self, viewer: Principal) -> Values:
        *others, _ = _values(self._counted())
        *_, proposals = _values(record for record in self._counted() if _public(record) or _own(record, viewer))
        return (*others, proposals)

    def newest(self, equal: Mapping[str, str], viewer: Principal) -> datetime:
        """When the last frame was observed that a list of the viewer's has."""
        return max(
            (
                record.observation_date or NEVER
                for record in self._counted()
                if all(getattr(record, name) == text for name, text in equal.items())
                and (_own(record, viewer) or (record.public_date is not None and record.public_date < NOW))
            ),
            default=NEVER,
        )

    def _counted(self) -> list[FrameRecord]:
        return [
            record for record, versioned in self.frames.values() if versioned and record.observation_date is not None
        ]


def _public(record: FrameRecord) -> bool:
    return record.public_date is not None and record.public_date <= NOW


def _own(record: FrameRecord, viewer: Principal) -> bool:
    return viewer.is_superuser or record.proposal_id in viewer.proposals


def _values(records: Iterator[FrameRecord] | Sequence[FrameRecord]) -> Values:
    found = list(records)
    return tuple(sorted({text for record in found if (text := getattr(record, name))}) for name in DIMENSIONS)


def apply(connection: psycopg.Connection, schema: str, events: Sequence[Recorded]) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL search_path TO {schema}".encode())
        FacetsProjection().apply(cursor, events)
        cursor.execute(
            "UPDATE starferry.projection SET position = %s WHERE name IN ('facets', 'frames')", (events[-1].position,)
        )


@asynccontextmanager
async def opened(database: str):  # type: ignore[no-untyped-def]
    pool = AsyncConnectionPool(database, min_size=1, max_size=2, kwargs={"autocommit": True}, open=False)
    await pool.open(wait=True)
    try:
        yield pool
    finally:
        await pool.close()


def tables(connection: psycopg.Connection, schema: str) -> dict[str, object]:
    return {
        table: connection.execute(checksum_query(schema, table).encode()).fetchone()
        for table in ("term", "facet", "member")
    }


@pytest.mark.parametrize("seed", range(4))
def test_x03_answers_and_rows_are_those_of_a_plain_model_whatever_happens(
    database: str, connection: psycopg.Connection, seed: int
) -> None:
    archive = Archive(seed)
    log: list[Recorded] = []

    async def live() -> None:
        async with opened(database) as pool:
            queries = FacetQueries(pool)
            for _ in range(40):
                batch = archive.events(archive.chance.choice((1, 2, 5, 30)))
                log.extend(batch)
                apply(connection, "read_facets", batch)
                for asked in (queries, FacetQueries(pool)):  # one that kept up, one that starts now
                    for viewer in VIEWERS:
                        search = archive.search()
                        assert await asked.within(search, viewer, NOW) == archive.within(search, viewer)
                        assert await asked.everything(viewer, NOW) == archive.everything(viewer)
                        newest = await asked.newest(search.equal, viewer, NOW)
                        assert newest is not None
                        last = archive.newest(search.equal, viewer)
                        assert last <= newest
                        assert last.date() == newest.date(), "nobody walks through more than a day for nothing"

    asyncio.run(live())
    with connection.transaction():
        for schema in ("build_one", "build_all"):
            build_schema(connection, FacetsProjection(), schema, with_indexes=False)
    for recorded in log:
        apply(connection, "build_one", [recorded])
    apply(connection, "build_all", log)
    assert tables(connection, "build_one") == tables(connection, "read_facets") == tables(connection, "build_all")


def test_x03_a_model_that_was_replaced_by_a_rebuild_is_read_anew(database: str, connection: psycopg.Connection) -> None:
    archive, other = Archive(1), Archive(2)

    async def ask() -> None:
        async with opened(database) as pool:
            queries = FacetQueries(pool)
            apply(connection, "read_facets", archive.events(60))
            root = VIEWERS[-1]
            assert await queries.everything(root, NOW) == archive.everything(root)
            with connection.transaction():
                build_schema(connection, FacetsProjection(), "build_facets", with_indexes=True)
            apply(connection, "build_facets", other.events(20))
            with connection.transaction():
                connection.execute("ALTER SCHEMA read_facets RENAME TO old_facets")
                connection.execute("ALTER SCHEMA build_facets RENAME TO read_facets")
            search = other.search()
            assert await queries.within(search, root, NOW) == other.within(search, root)
            assert await queries.everything(root, NOW) == other.everything(root)

    asyncio.run(ask())


def test_x03_many_requests_at_once_share_the_look_at_the_database(
    database: str, connection: psycopg.Connection
) -> None:
    archive = Archive(3)

    async def ask() -> None:
        async with opened(database) as pool:
            queries = FacetQueries(pool)
            apply(connection, "read_facets", archive.events(100))
            await queries.everything(ANONYMOUS, NOW)
            before = pool.get_stats()["requests_num"]
            answers = await asyncio.gather(*(queries.everything(ANONYMOUS, NOW) for _ in range(50)))
            assert answers == [archive.everything(ANONYMOUS)] * 50
            assert pool.get_stats()["requests_num"] - before <= 2

    asyncio.run(ask())


def test_where_a_list_can_begin_isnt_told_while_the_frames_read_model_is_at_another_event(
    database: str, connection: psycopg.Connection
) -> None:
    archive = Archive(5)

    async def ask() -> None:
        async with opened(database) as pool:
            apply(connection, "read_facets", archive.events(60))
            assert await FacetQueries(pool).newest({}, ANONYMOUS, NOW) is not None
            connection.execute("UPDATE starferry.projection SET position = position + 1 WHERE name = 'frames'")
            assert await FacetQueries(pool).newest({}, ANONYMOUS, NOW) is None

    asyncio.run(ask())
