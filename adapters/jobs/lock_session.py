"""Sessions that hold advisory locks: the server must notice soon when whoever holds them is gone without a word."""

from __future__ import annotations

from typing import Any

import psycopg

IDLE, INTERVAL, COUNT = 15, 5, 3
"""Seconds of silence before a probe, seconds between probes, and how many may go unanswered: half a minute in all.
A system's own are two hours and more, so that the locks of a host that lost its power would be held as long."""


def lock_session(conninfo: str) -> psycopg.Connection[Any]:
    """A session in which both sides look after the line. On a Unix socket there is no need: the settings do nothing."""
    connection = psycopg.connect(
        conninfo,
        autocommit=True,
        keepalives_idle=IDLE,
        keepalives_interval=INTERVAL,
        keepalives_count=COUNT,
    )
    names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count")
    for name, value in zip(names, (IDLE, INTERVAL, COUNT), strict=True):
        connection.execute("SELECT set_config(%s, %s, false)", (name, str(value)))
    return connection
