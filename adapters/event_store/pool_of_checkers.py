"""Stretches checked by several processes at once, answered in order."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import psycopg

from adapters.event_store.reaching import reaching
from adapters.event_store.stretch_check import Checked, StretchChecker
from domain.errors import RetryLater

AHEAD = 3
"""Stretches that each process has waiting: enough to be busy, little enough to hold few answers."""

_checkers: list[StretchChecker] = []


def checked(conninfo: str, stretches: Iterable[tuple[int, int]], jobs: int) -> Iterator[Checked]:
    """What each stretch holds, in their order. Raises RetryLater."""
    if jobs == 1:
        with reaching(), psycopg.connect(conninfo, autocommit=True) as connection:
            checker = StretchChecker(connection)
            for since, upto in stretches:
                yield checker.check(since, upto)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(conninfo,))
    waiting: deque[Future[Checked]] = deque()
    try:
        with reaching():
            for since, upto in stretches:
                waiting.append(pool.submit(_check, since, upto))
                if len(waiting) > AHEAD * jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise RetryLater("A process that checks has ended; try again, with --since from where it was.") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(conninfo: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the one that asked
    _checkers.append(StretchChecker(psycopg.connect(conninfo, autocommit=True)))


def _check(since: int, upto: int) -> Checked:
    return _checkers[0].check(since, upto)
