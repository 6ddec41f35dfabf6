"""An API process whose read models another program's have replaced answers 503, instead of from tables that don't fit.

That happens when a new release is swapped in, or an old one put back, while processes of the other still run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import psycopg
import structlog
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from domain.errors import RetryLater
from projections.versions import misfits, sentence

logger = structlog.get_logger()

LOOK_SECONDS = 2.0
WHATEVER_VERSION = "whatever_version"
"""The `opt` of routes that answer all the same."""


class ModelsFit:
    """Knows whether the live read models are of this program's versions. Belongs to one event loop."""

    def __init__(
        self, pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]], versions: Mapping[str, int]
    ) -> None:
        self._pool = pool
        self._versions = dict(versions)
        self.reason = ""
        """What is wrong, as a sentence; empty as long as nothing is."""

    async def keep_looking(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except (psycopg.Error, PoolTimeout):
                continue  # a database that is away is told of by everything else

    async def look(self) -> None:
        """Ask the database."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute("SELECT name, version FROM starferry.projection ORDER BY name")
            wrong = misfits(self._versions, await cursor.fetchall())
        reason = sentence(wrong[0]) if wrong else ""
        if reason != self.reason:
            logger.error("read models don't fit", reason=reason) if reason else logger.info("read models fit again")
        self.reason = reason


async def refuse_misfits(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard of all routes. Raises RetryLater. (One that isn't a coroutine would be run in a thread, each time.)"""
    if connection.app.state.serving.models.reason and not handler.opt.get(WHATEVER_VERSION):
        raise RetryLater("This process is of another release than the database; its operator has been told in the log.")
