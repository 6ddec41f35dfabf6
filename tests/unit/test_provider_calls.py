"""A destination that hangs holds up nobody else (S29)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from api.provider_calls import MOST_TESTS, THREADS, ProviderCalls
from api.threads import in_thread, in_thread_of
from domain.errors import Conflict


def served(play: Callable[[ProviderCalls], Awaitable[None]]) -> None:
    async def run() -> None:
        await play(ProviderCalls())

    asyncio.run(asyncio.wait_for(run(), 30))


def test_s29_tests_that_hang_leave_all_other_requests_their_threads() -> None:
    async def play(calls: ProviderCalls) -> None:
        answer, begun = threading.Event(), threading.Semaphore(0)

        def hang() -> None:
            begun.release()
            assert answer.wait(30)

        hanging = [asyncio.create_task(in_thread_of(calls.tests, hang)) for _ in range(50)]
        for _ in range(THREADS):
            assert await in_thread(begun.acquire, timeout=30)
        assert calls.tests.available_tokens == 0
        assert await in_thread(lambda: "a list") == "a list"
        assert await in_thread_of(calls.consents, lambda: "a deletion") == "a deletion"
        answer.set()
        await asyncio.gather(*hanging)

    served(play)


def test_s29_a_configuration_is_tested_once_at_a_time() -> None:
    async def play(calls: ProviderCalls) -> None:
        with calls.testing("cfg-a", "ada"):
            with pytest.raises(Conflict, match="is being tested"), calls.testing("cfg-a", "ben"):
                pass
            with calls.testing("cfg-b", "ada"):
                pass
        with pytest.raises(ZeroDivisionError), calls.testing("cfg-a", "ada"):
            _ = 1 / 0
        with calls.testing("cfg-a", "ben"):
            pass

    served(play)


def test_s29_a_user_tests_a_few_at_a_time() -> None:
    async def play(calls: ProviderCalls) -> None:
        assert MOST_TESTS < THREADS
        with calls.testing("cfg-1", "ada"), calls.testing("cfg-2", "ada"), calls.testing("cfg-3", "ada"):
            with pytest.raises(Conflict, match="wait for one"), calls.testing("cfg-4", "ada"):
                pass
            with calls.testing("cfg-4", "ben"):
                pass
        with calls.testing("cfg-4", "ada"):
            pass

    served(play)
