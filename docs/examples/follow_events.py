#!/usr/bin/env python3
"""Follows Starferry's feed of events and keeps each exactly once in an SQLite database. Python's standard library is
all it needs.

    export STARFERRY_TOKEN=…                      # of a superuser
    python follow_events.py http://127.0.0.1:8000 --database events.db --kind transfer --kind frame

Stop it at any moment and start it again: events and the position to go on from are kept in one transaction. What is
yours to change is `handle`.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import sqlite3
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any

WAIT_SECONDS = 30
"""How long the server holds an answer back when there is nothing new; we are patient a little longer."""
PAGE = 500
LONGEST_PAUSE = 60.0
TROUBLES = (OSError, http.client.HTTPException, json.JSONDecodeError)
"""A server that is away, or that went away in the middle of its answer."""

TABLES = """
CREATE TABLE IF NOT EXISTS place (one INTEGER PRIMARY KEY CHECK (one = 1), position INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS event (
    position INTEGER PRIMARY KEY, at TEXT NOT NULL, event TEXT NOT NULL, stream TEXT NOT NULL, actor TEXT NOT NULL,
    correlation TEXT NOT NULL, data TEXT NOT NULL
);
INSERT OR IGNORE INTO place VALUES (1, 0);
"""


def handle(database: sqlite3.Connection, event: dict[str, Any]) -> None:
    """Do something with an event, once. It is done together with moving on, or not at all."""
    names = ("position", "at", "event", "stream", "actor", "correlation")
    values = [event[name] for name in names]
    database.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?)", (*values, json.dumps(event["data"])))


class Feed:
    """Starferry's feed. `kinds` are topics or their first words; all when there are none."""

    def __init__(self, address: str, token: str, kinds: Sequence[str] = ()) -> None:
        self._url = address.rstrip("/") + "/api/v1/events"
        self._headers = {"Authorization": f"Token {token}", "Accept": "application/json"}
        self._kinds = [("kind", kind) for kind in kinds]

    def page(self, after: int, wait: int) -> dict[str, Any]:
        """What comes after a position: `results`, `next`, `head`. Raises one of TROUBLES."""
        query = urllib.parse.urlencode([*self._kinds, ("after", after), ("limit", PAGE), ("wait", wait)])
        request = urllib.request.Request(f"{self._url}?{query}", headers=self._headers)  # noqa: S310 (its own user's address)
        with urllib.request.urlopen(request, timeout=wait + 30) as answer:  # noqa: S310
            page: dict[str, Any] = json.load(answer)
        return page


def step(database: sqlite3.Connection, feed: Feed, wait: int) -> int:
    """Take the next page, and return how many events were in it. Raises one of TROUBLES, LookupError."""
    ((position,),) = database.execute("SELECT position FROM place").fetchall()
    page = feed.page(position, wait)
    if page["head"] < position:
        raise LookupError(f"The log ends at {page['head']}, and we had come to {position}: is it an older backup?")
    with database:  # one transaction: the events, and where to go on
        for event in page["results"]:
            handle(database, event)
        database.execute("UPDATE place SET position = ?", (page["next"],))
    return len(page["results"])


def open_database(path: str) -> sqlite3.Connection:
    """The database, made when it isn't there."""
    database = sqlite3.connect(path, timeout=10)
    database.executescript("PRAGMA journal_mode = WAL;" + TABLES)
    return database


def follow(database: sqlite3.Connection, feed: Feed) -> None:
    """Follow for ever; a server that is away is asked again, less and less often."""
    pause = 1.0
    while True:
        try:
            count = step(database, feed, WAIT_SECONDS)
        except TROUBLES as error:
            if isinstance(error, urllib.error.HTTPError) and error.code in (400, 401, 403, 404):
                sys.exit(f"Starferry refuses: {error.read().decode('utf-8', 'replace')}")
            print(f"Trying again in {pause:.0f} s: {error}", file=sys.stderr, flush=True)
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        else:
            pause = 1.0
            if count:
                print(f"{count} events", flush=True)


def main() -> None:
    """Follow until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Keeps Starferry's events, each exactly once.")
    parser.add_argument("address", help="where Starferry is, such as https://archive.example.org")
    parser.add_argument("--database", default="events.db")
    parser.add_argument("--kind", action="append", default=[], help="such as transfer; may be repeated")
    options = parser.parse_args()
    token = os.environ.get("STARFERRY_TOKEN", "")
    if not token:
        sys.exit("Set STARFERRY_TOKEN to the token of a superuser.")
    with contextlib.closing(open_database(options.database)) as database, contextlib.suppress(KeyboardInterrupt):
        try:
            follow(database, Feed(options.address, token, options.kind))
        except LookupError as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main()
