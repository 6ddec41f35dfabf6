"""Compares seals with what their segments hold now, and tells a changed seal from a changed event.

A segment whose digest differs is only judged when the seal after it is looked at: if that one follows from the digest
that we computed, the events are as they were, and the seal between was changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from adapters.event_store.findings import Finding, Kind
from adapters.event_store.seals import Seal, chained


class Segment(Protocol):
    """What a check of a stretch found there."""

    @property
    def since(self) -> int: ...

    @property
    def upto(self) -> int: ...

    @property
    def events(self) -> int: ...

    @property
    def content(self) -> bytes: ...


class _Suspect(msgspec.Struct, frozen=True):
    seal: Seal
    events: int
    candidates: list[bytes]


class SealCheck:
    """Takes segments and their seals in order. `look` reads a stretch again, when ends of seals don't meet."""

    def __init__(self, previous: bytes | None, look: Callable[[int, int], Segment]) -> None:
        self._candidates = [] if previous is None else [previous]
        self._look = look
        self._suspect: _Suspect | None = None
        self._behind_gap = False
        self.agreeing = 0

    def sealed(self, seal: Seal, segment: Segment) -> Iterator[Finding]:
        """The segment of a seal that begins where the one before ended."""
        before = self._candidates
        match = next((one for one in before if _digest(one, seal, seal.count, segment) == seal.digest), None)
        behind_gap, self._behind_gap = self._behind_gap, False
        if match is None and (behind_gap or not before):
            self._candidates = [seal.digest]
            yield _of_seal(seal, "can't be compared, for a seal before it isn't there")
            return
        miscounted = match is None and any(_digest(one, seal, segment.events, segment) == seal.digest for one in before)
        if self._suspect is not None:
            computed = match is not None and match != self._suspect.seal.digest
            yield _seal_changed(self._suspect.seal) if computed else _events_changed(self._suspect)
            self._suspect = None
        self._candidates = [seal.digest]
        if match is not None:
            self.agreeing += 1
        elif miscounted:
            yield _of_seal(seal, f"says {seal.count} events; there are the {segment.events} that were sealed")
        else:
            self._suspect = _Suspect(seal, segment.events, before)
            self._candidates += [_digest(one, seal, segment.events, segment) for one in before]

    def displaced(self, seal: Seal, since: int, gap: Segment | None) -> Iterator[Finding]:
        """A seal that doesn't begin at `since`, where the one before ended; `gap` is what stands between, if anything.
        Its own segment comes next, unless it says here what is wrong with it."""
        if moved := self._moved_end(seal):
            yield moved
        elif (whole := self._look(since, seal.upto)) and self._follows(seal, since, whole):
            yield from self.judged()
            self._candidates = [seal.digest]
            yield _of_seal(seal, f"says that it begins behind {seal.since}; it was made of what is behind {since}")
        else:
            yield from self.judged()
            between = gap.events if gap else 0
            yield _of_seal(seal, f"begins behind {seal.since}, but the one before it ends at {since}", between)
            self._behind_gap = True
            self._candidates = [
                chained(one, gap.since, gap.upto, gap.events, gap.content) for one in self._candidates if gap
            ]

    def settled(self, seal: Seal) -> bool:
        """Whether `displaced` has judged this seal's own segment too."""
        return self._candidates == [seal.digest]

    def judged(self) -> Iterator[Finding]:
        """What is to be said of the last segment when no seal follows it."""
        if self._suspect is not None:
            yield _events_changed(self._suspect, last=True)
            self._suspect = None
            self._candidates = self._candidates[:1]

    def _moved_end(self, seal: Seal) -> Finding | None:
        suspect = self._suspect
        if suspect is None or seal.since <= suspect.seal.since:
            return None
        whole = self._look(suspect.seal.since, seal.since)
        for one in suspect.candidates:
            if chained(one, whole.since, whole.upto, whole.events, whole.content) == suspect.seal.digest:
                self._suspect = None
                self._candidates = [suspect.seal.digest]
                return _of_seal(
                    suspect.seal, f"says that it ends at {suspect.seal.upto}; it was made of what is up to {seal.since}"
                )
        return None

    def _follows(self, seal: Seal, since: int, whole: Segment) -> bool:
        return any(
            chained(one, since, seal.upto, whole.events, whole.content) == seal.digest for one in self._candidates
        )


def _digest(previous: bytes, seal: Seal, count: int, segment: Segment) -> bytes:
    return chained(previous, seal.since, seal.upto, count, segment.content)


def _of_seal(seal: Seal, what: str, between: int = 0) -> Finding:
    lies = f" ({between} events between)" if between else ""
    return Finding(kind="seal", position=seal.since + 1, upto=seal.upto, what=f"the seal at {seal.upto} {what}{lies}")


def _seal_changed(seal: Seal) -> Finding:
    what = "holds another digest than the seal after it was made from; the events are as they were sealed"
    return _of_seal(seal, what)


def _events_changed(suspect: _Suspect, *, last: bool = False) -> Finding:
    seal, there = suspect.seal, suspect.events
    kind: Kind = "changed"
    what = f"among these {there} events at least one isn't as it was sealed"
    if there < seal.count:
        kind, what = "missing", f"{seal.count - there} of {seal.count} sealed events aren't there"
    elif there > seal.count:
        kind, what = "added", f"there are {there} events where {seal.count} were sealed"
    if last and there == seal.count:
        what += ", or the seal was changed (it is the last, so that no other can tell)"
    return Finding(kind=kind, position=seal.since + 1, upto=seal.upto, what=what)
