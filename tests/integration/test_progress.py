"""Progress goes from workers to those who listen by NOTIFY, and harms nothing (row S58)."""

from __future__ import annotations

import threading

import psycopg
from psycopg_pool import ConnectionPool

from adapters.event_store.follow import Wakeup
from adapters.progress import CHANNEL, EVERY_SECONDS, ProgressNotices
from application.transfer_news import Sent
from tests.integration.waiting import until


def test_s58_progress_is_heard_once_a_second_and_transfer_and_never_at_the_end(database: str) -> None:
    heard: list[str] = []
    rung = threading.Event()
    wakeup = Wakeup(database)
    wakeup.on_message(CHANNEL, heard.append)
    wakeup.on_growth(rung.set)
    wakeup.start()
    try:
        until(rung.is_set)
        now = 0.0
        with ConnectionPool(database, min_size=1, kwargs={"autocommit": True}) as pool:
            tell = ProgressNotices(pool, monotonic=lambda: now)
            for sent in (Sent("a", 1, 1, 9), Sent("a", 1, 2, 9), Sent("b", 1, 3, 9)):
                tell(sent)
            now += EVERY_SECONDS
            tell(Sent("a", 1, 4, 9))
            tell(Sent("a", 1, 9, 9))
            tell(Sent("a", 2, 5, 9))
        until(lambda: len(heard) >= 4)
        rung.clear()
        until(rung.is_set)  # the log is looked at as before
        with psycopg.connect(database, autocommit=True) as connection:
            rung.clear()
            connection.execute("NOTIFY starferry_events")
            until(rung.is_set)
    finally:
        wakeup.stop()
    assert [text for text in heard if '"transfer":"a"' in text] == [
        '{"transfer":"a","attempt":1,"bytes_sent":1,"bytes_total":9}',
        '{"transfer":"a","attempt":1,"bytes_sent":4,"bytes_total":9}',
        '{"transfer":"a","attempt":2,"bytes_sent":5,"bytes_total":9}',
    ]
    assert len(heard) == 4


def test_s58_a_message_that_nobody_understands_ends_nothing(database: str) -> None:
    heard: list[str] = []

    def understand(text: str) -> None:
        heard.append(text)
        raise ValueError

    wakeup = Wakeup(database)
    wakeup.on_message(CHANNEL, understand)
    rung = threading.Event()
    wakeup.on_growth(rung.set)
    wakeup.start()
    try:
        until(rung.is_set)
        with psycopg.connect(database, autocommit=True) as connection:
            for number in range(2):
                connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, str(number)))
        until(lambda: len(heard) == 2)
    finally:
        wakeup.stop()


def test_s58_without_a_database_a_transfer_goes_on() -> None:
    with ConnectionPool("host=127.0.0.1 port=1 connect_timeout=1", min_size=0, max_size=1) as pool:
        ProgressNotices(pool)(Sent("a", 1, 1, 9))
