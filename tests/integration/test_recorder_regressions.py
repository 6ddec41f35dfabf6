"""What went wrong in the stock recorder, and must never in ours: order, and big saves.

The stock recorder's faults themselves (a hang, events that readers miss) are in docs/adr/0002; they aren't shown here,
for a race and a killed child would cost every run seconds.
"""

from __future__ import annotations

import random
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from adapters.event_store.log import PostgresEventLog
from application.ports.event_log import EventLog
from domain.errors import Conflict
from domain.event import Recorded
from tests.contract.event_log_harness import commit, group_commit_log, postgres_log, texts, write
from tests.integration.waiting import Started

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def log(database: str) -> Iterator[PostgresEventLog]:
    with postgres_log(database) as log:
        yield log


class TestOrder:
    WRITERS = 6
    COMMITS = 120

    def test_a_tailing_reader_sees_each_committed_event_once_and_in_order(self, database: str) -> None:
        """Writers of several connections and of a group-commit log, small and large, some refused, some tracked."""
        acknowledged: list[list[str]] = [[] for _ in range(self.WRITERS)]
        seen: list[Recorded] = []
        passed: list[int] = []
        done = threading.Event()

        def tail(log: EventLog) -> None:
            position = 0
            while True:
                last_round = done.is_set()
                batch = log.read(position, 50)
                assert batch.upto >= position
                seen.extend(batch.events)
                position = batch.upto
                passed.append(position)
                if last_round and not batch.events:
                    return

        with postgres_log(database) as one, postgres_log(database) as two, group_commit_log(database) as three:
            reader = Started(tail, one)
            writers = [
                Started(self._write, (one, two, three)[number % 3], number, acknowledged[number])
                for number in range(self.WRITERS)
            ]
            for writer in writers:
                writer.finish()
            done.set()
            reader.finish()

        positions = [recorded.position for recorded in seen]
        assert positions == sorted(set(positions))
        assert sorted(texts(seen)) == sorted(text for texts_of_one in acknowledged for text in texts_of_one)
        assert len(seen) > self.WRITERS * self.COMMITS
        assert len(set(passed)) > 10, "the reader was never in between"

    def _write(self, log: EventLog, number: int, acknowledged: list[str]) -> None:
        chance = random.Random(number)
        for turn in range(self.COMMITS):
            mine = [f"{number}-{turn}-{part}" for part in range(chance.choice([1, 1, 1, 3, 40]))]
            padded = [text + "." * chance.choice([0, 0, 3000]) for text in mine]
            one = commit(write(f"own-{number}-{turn}", 0, *padded), write(f"race-{turn}", 0, f"race-{number}-{turn}"))
            if turn % 3:
                one = commit(*one.writes[:1])
            try:
                if turn % 10 == 1:
                    log.append_tracked([one], f"policy-{number}", turn)
                else:
                    log.append(one)
            except Conflict:
                continue
            acknowledged.extend(event.reason for each in one.writes for event in each.events)  # type: ignore[attr-defined]


class TestBigSaves:
    @pytest.mark.timeout(60)
    def test_a_save_above_every_socket_buffer_ends_on_a_unix_socket(self, database: str, log: PostgresEventLog) -> None:
        assert str(conninfo_to_dict(database)["host"]).startswith("/")
        parts = [secrets.token_hex(6_000) for _ in range(1000)]
        saving = Started(log.append, commit(write("big", 0, *parts)))
        saving.finish(30)
        assert texts(log.load("big")) == parts

    @pytest.mark.timeout(60)
    def test_so_does_one_of_the_librarys_recorder(self, log: PostgresEventLog) -> None:
        stored = log.mapper.stored_commit(commit(write("big", 0, *(secrets.token_hex(6_000) for _ in range(1000)))))
        Started(log.recorder.insert_events, stored).finish(30)
        assert log.head() == 1000


class TestTwoProcesses:
    def test_of_two_processes_at_one_stream_one_wins_each_time(self, database: str, log: PostgresEventLog) -> None:
        program = """
import sys
from adapters.event_store.log import PostgresEventLog
from domain.errors import AlreadyExists, StreamConflict
from tests.contract.event_log_harness import commit, write
log = PostgresEventLog(sys.stdin.readline().strip())
print("ready", flush=True)
sys.stdin.readline()
won = []
for number in range(60):
    try:
        log.append(commit(write(f"s{number}", 0, sys.argv[1])))
        won.append(f"s{number}")
    except StreamConflict:
        pass
    try:
        log.append(commit(write(f"{sys.argv[1]}{number}", 0, "x"), claims=[f"c{number}"]))
        won.append(f"c{number}")
    except AlreadyExists:
        pass
log.close()
print(" ".join(won))
"""
        racers = [
            subprocess.Popen(
                [sys.executable, "-c", program, name],
                cwd=REPOSITORY,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for name in ("one", "two")
        ]
        try:
            for racer in racers:
                assert racer.stdin
                racer.stdin.write(database + "\n")
                racer.stdin.flush()
            for racer in racers:
                assert racer.stdout
                assert racer.stdout.readline() == "ready\n"
            for racer in racers:
                assert racer.stdin
                racer.stdin.write("go\n")
                racer.stdin.flush()
            won = [name for racer in racers for name in racer.communicate(timeout=60)[0].split()]
        finally:
            for racer in racers:
                racer.kill()
                racer.wait()
        assert sorted(won) == sorted([f"{kind}{number}" for number in range(60) for kind in "sc"])
        assert log.head() >= len(log.read(0, 1000).events) == 120
