"""The observatory and its users meanwhile: files come in, observations are submitted, somebody looks around.

Their programs try again what wasn't answered; some give up, and never ask again. What was answered is written down.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import msgspec

from tests.records import fits_bytes

SIZES = {(8, 8): 90, (400, 400): 9, (2100, 2100): 1}
"""Pixels; how often. The largest is more than one piece of an upload."""
OBSERVATION = 12
"""Files of one."""
FIRST_NUMBER = 5000
GIVES_UP = 0.25
"""Of those whose file wasn't answered for."""


class Sent(msgspec.Struct):
    """A file that was sent. `known` is whether it was acknowledged; a given-up one may be there or not."""

    basename: str
    observation: int
    data: bytes
    known: bool = False


class Load:
    """What is going on. `destinations` are the sets of configurations that observations select in turn; `pause` is
    seconds between two files of one sender."""

    def __init__(
        self, url: str, token: str, destinations: list[list[str]], notes: Path, *, seed: int, pause: float, senders: int
    ) -> None:
        self._url = url
        self._headers = {"Authorization": f"Token {token}"}
        self._destinations = destinations
        self._notes = notes
        self._seed = seed
        self._pause = pause
        self._senders = senders
        self._guard = threading.Lock()
        self._next = 0
        self._ending, self._abandoned = threading.Event(), threading.Event()
        self.sent: list[Sent] = []
        self.wishes: dict[int, list[str]] = {}
        """Destinations by observation."""
        self.unanswered = 0
        """Requests that were sent and not answered, or answered with 5xx."""
        self.complaints: list[str] = []
        """Answers that no program should get, however much is killed."""

    @property
    def acknowledged(self) -> int:
        return sum(one.known for one in self.sent)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Until the block ends; then no new file is begun. Raises nothing: see `complaints`."""
        threads = [
            *(threading.Thread(target=self._ingest, args=(number,), daemon=True) for number in range(self._senders)),
            threading.Thread(target=self._look, daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ending.set()
            for thread in threads:
                thread.join(timeout=90)
            self._abandoned.set()
            if any(thread.is_alive() for thread in threads):
                self.complaints.append("a sender waits in vain for an answer")

    def _ingest(self, number: int) -> None:
        chance = random.Random(self._seed * 100 + number)
        with httpx.Client(base_url=self._url, headers=self._headers, trust_env=False, timeout=15) as client:
            while not self._ending.wait(chance.uniform(0, 2 * self._pause)):
                one, first = self._new(chance)
                if first and chance.random() < 0.5:  # else when its first file is in
                    self._submit(client, one.observation)
                    first = False
                self._send(client, one, chance)
                if first:
                    self._submit(client, one.observation)

    def _new(self, chance: random.Random) -> tuple[Sent, bool]:
        """A file, and whether it is the first of its observation."""
        with self._guard:
            index = self._next
            self._next += 1
        observation = FIRST_NUMBER + index // OBSERVATION
        shape = chance.choices(list(SIZES), list(SIZES.values()))[0]
        one = Sent(f"crash-{index:05}-e00", observation, fits_bytes(shape=shape, BLKUID=observation))
        with self._guard:
            self.sent.append(one)
            first = observation not in self.wishes
            if first:
                self.wishes[observation] = self._destinations[observation % len(self._destinations)]
        return one, first

    def _send(self, client: httpx.Client, one: Sent, chance: random.Random) -> None:
        def post() -> httpx.Response:
            return client.post("/api/v1/ingest", files={"file": (f"{one.basename}.fits", one.data)})

        for tries, answer in enumerate(self._answers(post)):
            if answer is None or answer.status_code >= 500:
                self.unanswered += 1
                if chance.random() < GIVES_UP:
                    return
                continue
            if answer.status_code == 201 or (answer.status_code == 409 and tries):  # then it was stored before
                self._acknowledge(one)
            else:
                self.complaints.append(f"{one.basename} was answered by {answer.status_code}: {answer.text[:200]}")
            return

    def _acknowledge(self, one: Sent) -> None:
        one.known = True
        with self._guard, self._notes.open("a") as notes:
            notes.write(f"{one.basename}\n")

    def _submit(self, client: httpx.Client, observation: int) -> None:
        body = {"name": f"{observation}", "observation_id": observation, "destinations": self.wishes[observation]}
        for answer in self._answers(lambda: client.post("/api/v1/observations", json=body)):
            if answer is None or answer.status_code >= 500:
                self.unanswered += 1
                continue
            if answer.status_code not in (201, 409):
                self.complaints.append(f"{json.dumps(body)} was answered by {answer.status_code}: {answer.text[:200]}")
            return

    def _look(self) -> None:
        """A user who lists what there is: never refused, never told nonsense."""
        pages = ["/frames/?limit=20", "/api/v1/transfers?limit=20", "/frames/aggregate/", "/api/v1/storage-configs"]
        with httpx.Client(base_url=self._url, headers=self._headers, trust_env=False, timeout=15) as client:
            while not self._ending.wait(self._pause):
                for page in pages:
                    with suppress(httpx.TransportError):
                        answer = client.get(page)
                        if answer.status_code != 200 and answer.status_code < 500:
                            self.complaints.append(f"{page} was answered by {answer.status_code}: {answer.text[:200]}")

    def _answers(self, ask: Callable[[], httpx.Response]) -> Iterator[httpx.Response | None]:
        """One answer after the other, until whoever asks is content; None where there was none. Waits for somebody to
        ask."""
        while not self._abandoned.is_set():
            try:
                answer = ask()
            except httpx.ConnectError:
                pass
            except httpx.TransportError:
                yield None
            else:
                yield answer
            self._abandoned.wait(0.2)
