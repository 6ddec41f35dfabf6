"""The wish to stop survives signals at any moment."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from api.cli.stopping import Stop


@pytest.fixture
def handlers() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_not_set_it_waits_for_as_long_as_it_was_told() -> None:
    stop = Stop()
    assert not stop.wait(0.001)
    assert not stop.is_set()


def test_whoever_waits_is_woken_then_and_later() -> None:
    stop, woken = Stop(), []
    threads = [threading.Thread(target=lambda: woken.append(stop.wait(60))) for _ in range(3)]
    for thread in threads:
        thread.start()
    stop.set()
    for thread in threads:
        thread.join()
    assert woken == [True, True, True]
    assert stop.wait()
    assert stop.is_set()


@pytest.mark.usefixtures("handlers")
def test_signals_that_come_while_it_waits_and_while_others_are_handled_end_the_wait() -> None:
    main = threading.get_ident()
    for _ in range(200):
        stop = Stop().on_signals()
        sender = threading.Thread(
            target=lambda: [signal.pthread_kill(main, number) for number in (signal.SIGTERM, signal.SIGINT) * 20]
        )
        sender.start()
        while not stop.wait(0.0001):
            pass
        sender.join()


@pytest.mark.usefixtures("handlers")
def test_any_number_of_signals_is_taken() -> None:
    stop = Stop().on_signals()
    for _ in range(70_000):  # more than a pipe holds
        stop.set()
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop.wait()
