"""One statement, all its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import tuple_row


async def fetch(
    connection: psycopg.AsyncConnection[tuple[Any, ...]], statement: str, parameters: Sequence[Any]
) -> list[tuple[Any, ...]]:
    """The rows of a statement, travelling in binary."""
    cursor = connection.cursor(binary=True, row_factory=tuple_row)
    await cursor.execute(statement.encode(), parameters)
    return await cursor.fetchall()
