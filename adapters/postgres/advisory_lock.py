"""An advisory lock for as long as something is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg


@contextmanager
def trying(connection: psycopg.Connection[Any], number: int) -> Iterator[bool]:
    """Whether this session has the lock, which it then gives back at the end."""
    held = connection.execute("SELECT pg_try_advisory_lock(%s)", (number,)).fetchone() == (True,)
    try:
        yield held
    finally:
        if held:
            _give_back(connection, number)


@contextmanager
def waiting(connection: psycopg.Connection[Any], number: int) -> Iterator[None]:
    """Have the lock, after whoever has it now, and give it back at the end."""
    connection.execute("SELECT pg_advisory_lock(%s)", (number,))
    try:
        yield
    finally:
        _give_back(connection, number)


def _give_back(connection: psycopg.Connection[Any], number: int) -> None:
    """A session's locks outlive it by some milliseconds, and whoever comes next must not find this one held."""
    if not connection.broken:
        connection.execute("SELECT pg_advisory_unlock(%s)", (number,))
