"""A closed-loop HTTP/1.1 client: N keep-alive connections, each sends its next request when it has its answer.

A program of its own (`python -m tests.benchmarks.http_client PLAN`), so that its CPU time isn't the benchmark's. PLAN
is a msgpack file with a Plan. It says `ready` when it has connected and warmed up, begins at a line on standard input,
and prints an Outcome as JSON.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter, deque
from pathlib import Path
from typing import cast

import msgspec
import uvloop


class Plan(msgspec.Struct):
    """`requests` are whole requests. Without `seconds` each is sent once; with it they go round and round that long."""

    port: int
    clients: int
    requests: list[bytes]
    seconds: float | None = None
    warm_up: list[bytes] = []


class Outcome(msgspec.Struct):
    """Latencies are in milliseconds; `statuses` counts answers; `received` counts bytes of bodies."""

    count: int
    seconds: float
    p50: float
    p99: float
    worst: float
    statuses: dict[str, int]
    received: int
    cpu_seconds: float
    first_body: str = ""


class Connection(asyncio.Protocol):
    """One request at a time; the answer needs a Content-Length."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._body_at = self._ends_at = -1
        self._status = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(ConnectionError("The server closed the connection."))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._body_at < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            self._status = int(head[9:12])
            self._body_at = end + 4
            found = head.find(b"content-length:")
            length = int(head[found + 15 :].split(b"\r\n", 1)[0]) if found >= 0 else 0
            self._ends_at = self._body_at + length
        if len(self._buffer) >= self._ends_at and self._answer and not self._answer.done():
            body = bytes(self._buffer[self._body_at : self._ends_at])
            del self._buffer[: self._ends_at]
            self._body_at = -1
            self._answer.set_result((self._status, body))

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Status and body."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer


async def drive(plan: Plan) -> Outcome:
    """Do as the plan says."""
    loop = asyncio.get_running_loop()
    connections = [(await loop.create_connection(Connection, "127.0.0.1", plan.port))[1] for _ in range(plan.clients)]
    if plan.warm_up:
        for number in range(len(plan.warm_up) // plan.clients):
            turn = [plan.warm_up[(number * plan.clients + k) % len(plan.warm_up)] for k in range(plan.clients)]
            await asyncio.gather(*(one.send(request) for one, request in zip(connections, turn, strict=True)))
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    latencies: list[float] = []
    statuses: Counter[str] = Counter()
    rest = deque(plan.requests)
    received = 0
    first: list[bytes] = []
    cpu, begun = time.process_time(), time.perf_counter()
    until = begun + plan.seconds if plan.seconds else float("inf")

    async def one(connection: Connection) -> None:
        nonlocal received
        while rest and time.perf_counter() < until:
            request = rest.popleft()
            if plan.seconds:
                rest.append(request)
            sent = time.perf_counter()
            status, body = await connection.send(request)
            latencies.append((time.perf_counter() - sent) * 1e3)
            statuses[str(status)] += 1
            received += len(body)
            if not first:
                first.append(body)

    await asyncio.gather(*(one(connection) for connection in connections))
    seconds = time.perf_counter() - begun
    latencies.sort()
    return Outcome(
        count=len(latencies),
        seconds=seconds,
        p50=latencies[len(latencies) // 2],
        p99=latencies[int(len(latencies) * 0.99)],
        worst=latencies[-1],
        statuses=dict(statuses),
        received=received,
        cpu_seconds=time.process_time() - cpu,
        first_body=first[0][:500].decode(errors="replace"),
    )


def main() -> None:
    """Run the plan in the file named."""
    plan = msgspec.msgpack.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    outcome = uvloop.run(drive(plan))
    print(msgspec.json.encode(outcome).decode(), flush=True)


if __name__ == "__main__":
    main()
