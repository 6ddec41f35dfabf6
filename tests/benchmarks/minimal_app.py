"""The ceiling: what a handler costs that only does the least. `python -m tests.benchmarks.minimal_app --port N`, with
the database's address in BENCHMARK_DATABASE.

`POST /insert` stores a frame's record durably in a table of its own; `GET /full` gives the newest 100 frames of the
read model with area, versions and related ids by one prepared statement; `GET /one/<id>` gives one frame.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import psycopg
import uvicorn
from litestar import Litestar, Request, Response, get, post
from psycopg_pool import AsyncConnectionPool

COLUMNS = (
    "id, basename, observation_date, observation_day, proposal_id, instrument_id, target_name, reduction_level, "
    "site_id, telescope_id, exposure_time, primary_optical_element, public_date, configuration_type, observation_id, "
    "request_id"
)
FULL = (
    f"SELECT {COLUMNS}, area, version_set, ARRAY(SELECT other_id FROM read_frames.link l WHERE l.frame_id = f.id) "
    "FROM read_frames.frame f WHERE observation_date < %s ORDER BY observation_date DESC LIMIT 100"
)
ONE = f"SELECT {COLUMNS} FROM read_frames.frame WHERE id = %s"
TABLE = (
    "CREATE TABLE IF NOT EXISTS benchmark_frame (id bigserial PRIMARY KEY, basename text UNIQUE NOT NULL, "
    "observation_date timestamptz NOT NULL, proposal_id text NOT NULL, target_name text NOT NULL, "
    "md5 text UNIQUE NOT NULL, headers text NOT NULL)"
)
INSERT = (
    "INSERT INTO benchmark_frame (basename, observation_date, proposal_id, target_name, md5, headers) "
    "VALUES (%s, %s, %s, %s, %s, %s) RETURNING id"
)
POOL = 8


class Row(msgspec.Struct):
    """A frame as it is answered."""

    id: int
    basename: str
    observation_date: datetime
    observation_day: date
    proposal_id: str
    instrument_id: str
    target_name: str
    reduction_level: int
    site_id: str
    telescope_id: str
    exposure_time: float | None
    primary_optical_element: str
    public_date: datetime | None
    configuration_type: str
    observation_id: int | None
    request_id: int | None
    area: msgspec.Raw | None = None
    version_set: msgspec.Raw | None = None
    related_frames: list[int] | None = None


class Version(msgspec.Struct):
    """What is stored of a version."""

    md5: str


class Arrival(msgspec.Struct):
    """What is stored of a body."""

    basename: str
    observation_date: datetime
    proposal_id: str
    target_name: str
    version_set: list[Version]
    headers: msgspec.Raw


_encoder = msgspec.json.Encoder()
_arrival = msgspec.json.Decoder(Arrival)
_state: dict[str, AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]] = {}


@asynccontextmanager
async def lifespan(_: Litestar) -> AsyncIterator[None]:
    """The pool, for as long as the application runs."""
    pool = AsyncConnectionPool(
        os.environ["BENCHMARK_DATABASE"],
        min_size=POOL,
        max_size=POOL,
        kwargs={"autocommit": True, "prepare_threshold": 0, "options": "-c timezone=UTC"},
        open=False,
    )
    await pool.open(wait=True)
    _state["pool"] = pool
    await _rows(TABLE, ())
    try:
        yield
    finally:
        await pool.close()


async def _rows(statement: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    async with _state["pool"].connection() as connection:
        cursor = connection.cursor(binary=True)
        await cursor.execute(statement.encode(), parameters)
        return await cursor.fetchall() if cursor.description else []


@get("/full")
async def full() -> Response[bytes]:
    """100 frames."""
    make: Callable[..., Row] = Row
    raw = msgspec.Raw
    rows = await _rows(FULL, (datetime.now(UTC),))
    page = [
        make(*scalars, raw(area.encode()) if area else None, raw(f"[{versions}]".encode()), related)
        for *scalars, area, versions, related in rows
    ]
    return Response(_encoder.encode(page), media_type="application/json")


@get("/one/{frame_id:int}")
async def one(frame_id: int) -> Response[bytes]:
    """One frame."""
    return Response(_encoder.encode(Row(*(await _rows(ONE, (frame_id,)))[0])), media_type="application/json")


@post("/insert", status_code=201)
async def insert(request: Request[Any, Any, Any]) -> Response[bytes]:
    """One durable row."""
    arrival = _arrival.decode(await request.body())
    values = (
        arrival.basename,
        arrival.observation_date,
        arrival.proposal_id,
        arrival.target_name,
        arrival.version_set[0].md5,
        bytes(arrival.headers).decode(),
    )
    ((number,),) = await _rows(INSERT, values)
    return Response(_encoder.encode({"id": number}), media_type="application/json", status_code=201)


app = Litestar([full, one, insert], lifespan=[lifespan], openapi_config=None)


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.minimal_app")
    parser.add_argument("--port", type=int, required=True)
    uvicorn.run(app, port=parser.parse_args().port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
