"""Simulated time and processes: real code runs in threads, of which one moves at a time in an order of the seed's.

A task gives the turn away only where it calls a port (or waits), so nothing between two calls is ever interleaved, and
what is next depends on nothing but simulated time. A task that is told that its process has died raises Crash wherever
it stands, and can't do anything any more while it unwinds.
"""

from __future__ import annotations

import heapq
import os
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import ClassVar

SECOND = 1_000_000
EPOCH = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Crash(BaseException):
    """The process ended here. No code of the program catches it."""


class Violation(AssertionError):
    """Something happened, or didn't, that must never (not)."""


class Signal:
    """What tasks wait for."""

    def __init__(self) -> None:
        self.waiting: list[Task] = []


class Process:
    """A process of one life: what is started again after a crash is another one."""

    def __init__(self, kernel: Kernel, name: str, life: int) -> None:
        self.kernel, self.name, self.life = kernel, name, life
        self.alive = True
        self.tasks: list[Task] = []
        self.identity = f"{name}#{life}"
        self.lag = Random(f"{kernel.seed}/lag/{self.identity}").choice((1, 1, 1, 1, 1, 50, 500))
        """How slow its calls are: a process may live on a host that has other things to do."""

    def spawn(self, name: str, work: Callable[[], None], delay: int = 0) -> Task:
        """Let a task of this process begin after `delay` microseconds."""
        label = f"{self.identity}.{name}"
        task = Task(self.kernel, label, work)
        task.process = self
        self.tasks.append(task)
        self.kernel.begin(task, delay)
        return task


class Task:
    """One line of work. Its own stream of random numbers makes what it meets independent of what others draw."""

    process: Process

    def __init__(self, kernel: Kernel, name: str, work: Callable[[], None]) -> None:
        self.kernel, self.name, self.work = kernel, name, work
        self.random = Random(f"{kernel.seed}/{name}")
        self.chance = Random(f"{kernel.seed}/faults/{name}")
        self.calls = 0
        self.ticket = 0
        self.signal: Signal | None = None
        self.dead = self.ended = False
        self.turn = threading.Lock()
        self.turn.acquire()

    def run(self) -> None:
        """The thread's life."""
        self.turn.acquire()
        try:
            if not self.dead:
                self.work()
        except Crash:
            pass
        except BaseException as error:
            self.kernel.fail(error)
        self.ended = True


class _Thread:
    """A thread that runs one task after the other: making one costs more than most tasks do."""

    idle: ClassVar[list[_Thread]] = []

    def __init__(self) -> None:
        self._wake = threading.Lock()
        self._wake.acquire()
        self._task: Task | None = None
        threading.Thread(target=self._run, daemon=True).start()

    @classmethod
    def lend(cls, task: Task) -> None:
        """Run a task in a thread that has nothing to do."""
        thread = cls.idle.pop() if cls.idle else cls()
        thread._task = task
        thread._wake.release()

    def _run(self) -> None:
        while True:
            self._wake.acquire()
            task, self._task = self._task, None
            assert task is not None
            task.run()
            self.idle.append(self)
            task.kernel.leave(task)


os.register_at_fork(after_in_child=_Thread.idle.clear)


class Kernel:
    """The clock, and whose turn it is."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now = 0
        self.limit = 0
        self.failure: BaseException | None = None
        self.closing = False
        self.lines: list[tuple[int, str, str]] = []
        self._queue: list[tuple[int, int, int, Task]] = []
        self._dying: deque[Task] = deque()
        self._sequence = 0
        self._director = Task(self, "director", lambda: None)
        self.current = self._director
        self.tasks: list[Task] = []

    def time(self, offset: int = 0) -> datetime:
        """The simulated instant, as a clock that is `offset` microseconds ahead tells it."""
        return EPOCH + timedelta(microseconds=self.now + offset)

    def tell(self, what: str) -> None:
        """A line of the trace."""
        self.lines.append((self.now, self.current.name, what))

    def trace(self) -> list[str]:
        """What happened: time, who, what, outcome."""
        return [f"{at / SECOND:13.6f} {who:<18} {what}" for at, who, what in self.lines]

    def begin(self, task: Task, delay: int) -> None:
        """Give a new task its first turn."""
        self.tasks.append(task)
        self._at(task, self.now + delay)
        _Thread.lend(task)

    def pause(self, microseconds: int) -> None:
        """Let time pass for the task whose turn it is."""
        me = self.current
        if me.dead:
            raise Crash
        if not self._dying and me is not self._director:
            at = self.now + microseconds
            queue = self._queue
            if (not queue or at < queue[0][0]) and at <= self.limit and self.failure is None:
                self.now = at  # nobody else comes first
                return
        self._at(me, self.now + microseconds)
        self._switch(me)

    def wait(self, signal: Signal, timeout: int | None = None) -> None:
        """Until somebody notifies `signal`, or the time is over."""
        me = self.current
        if me.dead:
            raise Crash
        me.ticket += 1
        me.signal = signal
        signal.waiting.append(me)
        if timeout is not None:
            self._push(me, self.now + timeout)
        self._switch(me)

    def notify(self, signal: Signal, delay: int = 0) -> None:
        """Wake all who wait."""
        waiting, signal.waiting = signal.waiting, []
        for number, task in enumerate(waiting):
            task.signal = None
            self._at(task, self.now + delay + number)

    def kill(self, process: Process) -> None:
        """End a process where it stands."""
        if not process.alive:
            return
        process.alive = False
        for task in process.tasks:
            if not task.ended and not task.dead:
                task.dead = True
                if task.signal is not None:
                    task.signal.waiting.remove(task)
                    task.signal = None
                task.ticket += 1
                if task is not self.current:
                    self._dying.append(task)

    def run(self, until: int) -> None:
        """Let all go on until then, or until nobody has anything to do; raises what went wrong. For the director."""
        self.limit = until
        self._switch(self._director)
        if self.failure is not None:
            raise self.failure

    def next_at(self) -> int | None:
        """When the next task has its turn; None when all wait for something else."""
        while self._queue and self._queue[0][2] != self._queue[0][3].ticket:
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def close(self) -> None:
        """End all threads."""
        self.failure = None
        self.closing = True
        for process in {id(task.process): task.process for task in self.tasks}.values():
            self.kill(process)
        self.limit = -1
        self._switch(self._director)

    def fail(self, error: BaseException) -> None:
        """The simulation ends with this."""
        if self.failure is None:
            self.failure = error

    def leave(self, me: Task) -> None:
        """Of a task that has ended."""
        following = self._following()
        self.current = following
        following.turn.release()

    def _at(self, task: Task, at: int) -> None:
        task.ticket += 1
        if task.signal is not None:
            task.signal.waiting.remove(task)
            task.signal = None
        self._push(task, at)

    def _push(self, task: Task, at: int) -> None:
        self._sequence += 1
        heapq.heappush(self._queue, (at, self._sequence, task.ticket, task))

    def _switch(self, me: Task) -> None:
        following = self._following()
        if following is not me:
            self.current = following
            following.turn.release()
            me.turn.acquire()
        if me.signal is not None:  # its time was over
            me.signal.waiting.remove(me)
            me.signal = None
        if me.dead:
            raise Crash

    def _following(self) -> Task:
        if self._dying:
            return self._dying.popleft()
        if self.failure is not None:
            return self._director
        while self._queue:
            at, _, ticket, task = self._queue[0]
            if ticket != task.ticket or task.dead:
                heapq.heappop(self._queue)
                continue
            if at > self.limit:
                self.now = max(self.now, self.limit)
                return self._director
            heapq.heappop(self._queue)
            task.ticket += 1
            self.now = max(self.now, at)
            return task
        return self._director
