"""CancelTransfersOfDeletedFrames: a frame that an operator deleted goes nowhere any more.

It looks at requests too: one may have been decided on while the frame was there and be recorded after its deletion.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from application.policies.policy import commit_of
from application.ports.event_log import Commit, EventLog
from application.ports.lookups import TransferLookup
from domain import frames, transfers
from domain.event import Event, Recorded
from domain.frames import FrameDeleted
from domain.transfer_events import TransferRequested
from domain.transfers import Transfer

REASON = "Its frame was deleted from the archive."


class CancelTransfersOfDeletedFrames:
    """See the module."""

    name = "CancelTransfersOfDeletedFrames"
    topics = frozenset({FrameDeleted.topic, TransferRequested.topic})

    def __init__(self, log: EventLog, lookup: TransferLookup) -> None:
        self._log = log
        self._lookup = lookup

    def react(self, batch: Sequence[Recorded], taken: frozenset[str], now: datetime) -> Sequence[Commit]:  # noqa: ARG002
        """See Policy.react."""
        triggers = self._requested(batch)
        for recorded in batch:
            if isinstance(recorded.event, FrameDeleted):
                basename = recorded.stream.removeprefix("frame:")
                for transfer in self._lookup.open_transfers_of_frame(basename, at_least=recorded.position):
                    triggers.setdefault(transfers.stream_of(transfer), recorded)
        states = {stream: transfers.fold(history) for stream, history in self._log.load_many(sorted(triggers)).items()}
        missing = self._without_their_file(states)
        return [
            commit_of(self.name, triggers[stream], stream, states[stream].stream_version, *events, now=now)
            for stream in missing
            if (events := _cancel(states[stream]))
        ]

    def _requested(self, batch: Sequence[Recorded]) -> dict[str, Recorded]:
        return {recorded.stream: recorded for recorded in batch if isinstance(recorded.event, TransferRequested)}

    def _without_their_file(self, states: dict[str, Transfer]) -> list[str]:
        """The transfers of versions that their frame doesn't have. (One of the same name may have come since.)"""
        requests = {stream: state.request for stream, state in states.items() if state.request is not None}
        found = self._log.load_many(sorted({frames.stream_of(request.frame) for request in requests.values()}))
        folded = {stream: frames.fold(history) for stream, history in found.items()}
        return [
            stream
            for stream, request in requests.items()
            if (frame := folded.get(frames.stream_of(request.frame))) is not None
            and frame.version(request.version_id) is None
        ]


def _cancel(state: Transfer) -> tuple[Event, ...]:
    return transfers.cancel(state, REASON) if state.status in ("pending", "in_progress") else ()
