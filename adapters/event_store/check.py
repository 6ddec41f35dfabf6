"""The check of the log or a part of it: plans stretches, has them checked, judges what only shows between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import msgspec
import psycopg

from adapters.event_store.claims_check import claim_findings
from adapters.event_store.findings import Finding
from adapters.event_store.name_sums import NameSums
from adapters.event_store.pool_of_checkers import checked
from adapters.event_store.reaching import reaching
from adapters.event_store.seal_check import SealCheck
from adapters.event_store.seals import BEGINNING, SEGMENT, Seal, seals_between
from adapters.event_store.stretch_check import Checked, StretchChecker, backwards
from domain.errors import InvalidInput

_LAST = 9223372036854775807
_Look = Callable[[int, int], Checked]


class Summary(msgspec.Struct, kw_only=True):
    """What was looked at. `since` may be before what was asked for, `upto` behind it: segments are checked whole."""

    since: int
    upto: int
    head: int
    events: int = 0
    findings: int = 0
    warnings: int = 0
    seals: int = 0
    seals_agreeing: int = 0
    unsealed: int = 0
    seal: str = ""
    claims_compared: bool = False


class _State(msgspec.Struct, frozen=True):
    """The log and what stands beside it, as they are at the beginning."""

    consumers: list[tuple[str, int]]
    seals: list[Seal]
    head: int
    next: int


class LogCheck:
    """One run. `tell` is called with each finding, `progress` with the position reached and the events so far."""

    def __init__(
        self,
        conninfo: str,
        tell: Callable[[Finding], None],
        progress: Callable[[int, int], None] = lambda _position, _events: None,
    ) -> None:
        self._conninfo = conninfo
        self._tell_finding = tell
        self._progress = progress

    def run(
        self, since: int = 0, to: int | None = None, *, jobs: int = 1, expected: tuple[bytes, int] | None = None
    ) -> Summary:
        """Check (since, to]. Raises InvalidInput for positions behind the log's end, RetryLater."""
        with reaching(), psycopg.connect(self._conninfo, autocommit=True) as connection:
            state = _state(connection)
            if since > state.head or (to is not None and to < since):
                raise InvalidInput(
                    f"There is nothing between {since} and {to or state.head}: the log ends at {state.head}."
                )
            begin, end = _whole_segments(state, since, state.head if to is None else min(to, state.head))
            summary = self._summary = Summary(since=begin, upto=end, head=state.head)
            if state.seals:
                summary.seal = state.seals[-1].name
            self._beside(state, expected)
            names = self._stretches(connection, state, begin, end, jobs)
            if begin == 0 and end == state.head and names is not None:
                self._claims(connection, state.head, names)
        return summary

    def _tell(self, finding: Finding) -> None:
        if finding.warning:
            self._summary.warnings += 1
        else:
            self._summary.findings += 1
        self._tell_finding(finding)

    def _beside(self, state: _State, expected: tuple[bytes, int] | None) -> None:
        ahead = [f"{name} has been at {position}" for name, position in state.consumers if position > state.head]
        if ahead:
            what = f"the log ends at {state.head}, but {', '.join(ahead)}"
            self._tell(Finding(kind="truncated", position=state.head, what=what))
        if state.next <= state.head:
            what = f"the next event would get position {state.next}, and the log ends at {state.head}"
            self._tell(Finding(kind="sequence", position=state.next, what=what))
        if expected is not None:
            digest, position = expected
            seal = next((seal for seal in state.seals if seal.upto == position), None)
            if seal is None:
                what = f"there is no seal that ends at {position}"
                self._tell(Finding(kind="expected", position=position, what=what))
            elif seal.digest != digest:
                what = f"the seal that ends at {position} is {seal.digest.hex()}, another one than was noted"
                self._tell(Finding(kind="expected", position=position, what=what))

    def _stretches(
        self, connection: psycopg.Connection[Any], state: _State, begin: int, end: int, jobs: int
    ) -> NameSums | None:
        """Check all; the sums of the names that the log takes, None when some event can't be read."""
        summary = self._summary
        within = [seal for seal in state.seals if seal.upto > begin and seal.since < end]
        plan = list(_plan(within, begin, end))
        look = StretchChecker(connection).check
        chain = SealCheck(_digest_at(state.seals, begin), look)
        names, readable = NameSums(), True
        latest: tuple[datetime, int] | None = None
        answers = checked(self._conninfo, [(since, upto) for since, upto, _ in plan], jobs)
        place, gap = begin, None
        for (since, upto, seal), found in zip(plan, answers, strict=True):
            for finding in found.findings:
                self._tell(finding)
            if found.more:
                what = f"{found.more} more findings between {since} and {upto} aren't told"
                self._tell(Finding(kind="order", position=since, upto=upto, what=what))
            if latest and found.earliest and (late := backwards(latest, found.earliest)):
                self._tell(late)
            latest = max(filter(None, (latest, found.latest)), default=None)
            readable &= all(finding.kind != "unreadable" for finding in found.findings) and not found.more
            names.include(found.names)
            summary.events += found.events
            if seal is None:
                gap = found
                summary.unsealed += found.events
            else:
                summary.seals += 1
                self._judge(chain, seal, place, gap, found, look)
                place, gap = seal.upto, None
            self._progress(upto, summary.events)
        for finding in chain.judged():
            self._tell(finding)
        for seal in set(within) - {seal for _, _, seal in plan}:
            what = f"the seal at {seal.upto} covers nothing that others don't cover"
            self._tell(Finding(kind="seal", position=seal.since + 1, upto=seal.upto, what=what))
        self._beyond(state, end, within)
        summary.seals_agreeing = chain.agreeing
        return names if readable else None

    def _judge(
        self, chain: SealCheck, seal: Seal, place: int, gap: Checked | None, found: Checked, look: _Look
    ) -> None:
        if seal.upto > self._summary.head:
            return
        if seal.since != place:
            for finding in chain.displaced(seal, place, gap):
                self._tell(finding)
            if chain.settled(seal):
                return
            if found.since != seal.since:  # it overlaps the one before
                found = look(seal.since, seal.upto)
        for finding in chain.sealed(seal, found):
            self._tell(finding)

    def _beyond(self, state: _State, end: int, within: list[Seal]) -> None:
        """Seals of events behind the log's end."""
        beyond = [seal for seal in state.seals if seal.upto > state.head]
        if not beyond or end < state.head:
            return
        at_least = sum(seal.count for seal in beyond if seal.since >= state.head)
        cut = next((seal for seal in within if seal.since < state.head < seal.upto), None)
        if cut:
            at_least += max(0, cut.count - self._count(cut.since, state.head))
        if cut and not at_least:
            what = f"the seal at {cut.upto} ends behind the log's end, {state.head}; its {cut.count} events are there"
            self._tell(Finding(kind="seal", position=cut.since + 1, upto=cut.upto, what=what))
            return
        what = f"the log ends at {state.head}, but was sealed up to {beyond[-1].upto}: {at_least} events aren't there"
        self._tell(Finding(kind="truncated", position=state.head, upto=beyond[-1].upto, what=what))

    def _count(self, since: int, upto: int) -> int:
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            row = connection.execute(
                "SELECT count(*) FROM starferry.starferry_events WHERE notification_id > %s AND notification_id <= %s",
                (since, upto),
            ).fetchone()
        assert row is not None
        return int(row[0])

    def _claims(self, connection: psycopg.Connection[Any], head: int, names: NameSums) -> None:
        """In one state of the database, with what came since this run began."""
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            names.include(StretchChecker(connection).check(head, _LAST).names)
            for finding in claim_findings(connection, names):
                self._tell(finding)
        self._summary.claims_compared = True


def _state(connection: psycopg.Connection[Any]) -> _State:
    """In an order in which nothing that is written meanwhile looks like a fault."""
    consumers = connection.execute(
        "SELECT name, position FROM starferry.consumer UNION ALL SELECT name, position FROM starferry.projection"
    ).fetchall()
    seals = seals_between(connection, 0, _LAST)
    row = connection.execute("SELECT coalesce(max(notification_id), 0) FROM starferry.starferry_events").fetchone()
    after = connection.execute(
        "SELECT last_value + is_called::int FROM starferry.starferry_events_notification_id_seq"
    ).fetchone()
    assert row is not None
    assert after is not None
    return _State(consumers, seals, row[0], after[0])


def _whole_segments(state: _State, since: int, to: int) -> tuple[int, int]:
    """The same range, begun and ended where seals do."""
    begin = next((seal.since for seal in state.seals if seal.since < since < seal.upto), since)
    end = next((seal.upto for seal in state.seals if seal.since < to < seal.upto), to)
    return begin, min(end, state.head)


def _plan(seals: list[Seal], begin: int, end: int) -> Iterator[tuple[int, int, Seal | None]]:
    """Stretches in order, each with its seal."""
    place = begin
    for seal in seals:
        if seal.since > place:
            yield place, seal.since, None
        place = max(place, seal.since)
        upto = min(seal.upto, end)
        if upto > place:
            yield place, upto, seal
            place = upto
    while place < end:
        upto = min(place + SEGMENT, end)
        yield place, upto, None
        place = upto


def _digest_at(seals: list[Seal], position: int) -> bytes | None:
    if position == 0:
        return BEGINNING
    return next((seal.digest for seal in seals if seal.upto == position), None)
