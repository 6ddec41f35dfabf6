"""What a worker reads and writes of transfers: several at a time, each decided by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from application.ports.clock import Clock
from application.ports.event_log import Commit, EventLog, Write
from application.transact import transact
from application.worker_cause import worker_cause
from domain import transfers
from domain.errors import StarferryError, StreamConflict
from domain.event import Event, Recorded
from domain.transfers import Transfer

History = Sequence[Recorded]
Decide = Callable[[Transfer], tuple[Event, ...]]
DecideEach = Callable[[str, Transfer], tuple[Event, ...]]


class TransferStreams(msgspec.Struct, frozen=True):
    """Those of one worker, which is named in what it appends."""

    log: EventLog
    clock: Clock
    worker: str

    def histories(self, transfer_ids: Sequence[str]) -> dict[str, History]:
        """What has happened to each; nothing to one that isn't there."""
        found = self.log.load_many([transfers.stream_of(one) for one in transfer_ids])
        return {one: found.get(transfers.stream_of(one), ()) for one in transfer_ids}

    def states(self, transfer_ids: Sequence[str]) -> dict[str, Transfer]:
        """Each as it is now."""
        return {one: transfers.fold(history) for one, history in self.histories(transfer_ids).items()}

    def state(self, transfer_id: str) -> Transfer:
        """As it is now."""
        return transfers.fold(self.log.load(transfers.stream_of(transfer_id)))

    def change(self, transfer_id: str, decide: Decide) -> History:
        """Append what `decide` makes of the transfer; the history then. Raises what `decide` raises, StreamConflict
        when others win eight times in a row, RetryLater."""
        stream, now = transfers.stream_of(transfer_id), self.clock.now()
        cause_of = worker_cause(self.worker)
        history: History = ()
        events: tuple[Event, ...] = ()

        def decided(told: History) -> tuple[Event, ...]:
            nonlocal history, events
            history, events = told, decide(transfers.fold(told))
            return events

        position = transact(self.log, stream, decided, cause=cause_of, now=now)
        return self._grown(history, self._commit(stream, history, events), position) if events else history

    def change_all(self, known: Mapping[str, History], decide: DecideEach) -> dict[str, History | StarferryError]:
        """The same for several, whose histories are `known`, in one trip: each one's history then, or why it is
        unchanged. Raises RetryLater when the log can't be reached: any of them may be changed then."""
        results: dict[str, History | StarferryError] = {}
        commits: dict[str, Commit] = {}
        for one, history in known.items():
            try:
                events = decide(one, transfers.fold(history))
            except StarferryError as error:
                results[one] = error
            else:
                results[one] = history
                if events:
                    commits[one] = self._commit(transfers.stream_of(one), history, events)
        answers = self.log.append_all(list(commits.values())) if commits else []
        for (one, commit), answer in zip(commits.items(), answers, strict=True):
            if isinstance(answer, StreamConflict):  # somebody was faster
                results[one] = self._again(one, partial(decide, one))
            else:
                results[one] = answer if isinstance(answer, StarferryError) else self._grown(known[one], commit, answer)
        return results

    def _again(self, transfer_id: str, decide: Decide) -> History | StarferryError:
        try:
            return self.change(transfer_id, decide)
        except StarferryError as error:
            return error

    def _commit(self, stream: str, history: History, events: tuple[Event, ...]) -> Commit:
        why = worker_cause(self.worker)(history)
        return Commit(writes=(Write(stream, len(history), events),), cause=why, at=self.clock.now())

    def _grown(self, history: History, commit: Commit, position: int) -> History:
        (write,) = commit.writes
        first, version = position - len(write.events) + 1, write.expected + 1
        added = (
            Recorded(write.stream, version + n, first + n, commit.at, commit.cause, event)
            for n, event in enumerate(write.events)
        )
        return [*history, *added]
