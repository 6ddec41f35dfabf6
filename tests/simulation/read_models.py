"""Read models that lag behind, stand still or are rebuilt, and what is asked of them.

They are folds of the same events that the real projections read; those need PostgreSQL, and
tests/simulation/test_real_read_models.py holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from application.frame_matching import FrameMatcher
from application.permissions import Principal
from application.ports.event_log import EventLog
from application.ports.frame_finder import Found
from application.upload_sessions import OVER, session_owner
from domain import frames, observations, storage_configs, transfers
from domain.errors import RetryLater
from domain.event import Recorded
from domain.frame_query import FrameQuery
from domain.frame_selection import FrameSelection
from domain.frames import Frame
from domain.storage_configs import Content
from domain.transfer_events import TransferCompleted, TransferRecordsExpired
from domain.transfers import Transfer
from tests.simulation.faults import Wire
from tests.simulation.kernel import SECOND, Kernel, Signal
from tests.simulation.log import Database
from tests.simulation.waiting import Row

T = TypeVar("T")
WAIT = 5 * SECOND
KINDS: dict[str, tuple[str, Callable[..., Any], Callable[[], Any]]] = {
    "frames": ("frame:", frames.evolve, Frame),
    "transfers": ("transfer:", transfers.evolve, Transfer),
    "observations": ("observation:", observations.evolve, observations.Observation),
    "storage_configs": ("storage_config:", storage_configs.evolve, storage_configs.StorageConfig),
}


class ReadModel:
    """The rows of one read model, by stream, as of `position`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.prefix, self._evolve, self._new = KINDS[name]
        self.position = 0
        self.rows: dict[str, Any] = {}
        self.completed: dict[str, datetime] = {}
        self.expired: set[str] = set()
        self.moved = Signal()
        self.stalled = False
        self.rebuild = False

    def apply(self, events: Sequence[Recorded], upto: int) -> None:
        """Take the next events in, as one transaction."""
        for recorded in events:
            if recorded.stream.startswith(self.prefix):
                name = recorded.stream.removeprefix(self.prefix)
                self.rows[name] = self._evolve(self.rows.get(name) or self._new(), recorded)
                if isinstance(recorded.event, TransferCompleted):
                    self.completed[name] = recorded.at
                self.expired.discard(name)
            elif isinstance(recorded.event, TransferRecordsExpired) and self.name == "transfers":
                self.expired |= set(expiring(self, recorded.event.completed_before))
        self.position = upto


def expiring(model: ReadModel, before: datetime) -> list[str]:
    """The records of transfers that were completed before then and are neither checked just now nor lost."""
    return [
        name
        for name, state in model.rows.items()
        if state.delivered and not state.checking and model.completed[name] < before and name not in model.expired
    ]


def _goes_to(transfer: Transfer, storage_config: str) -> bool:
    return transfer.request is not None and transfer.request.storage_config == storage_config


def keep_up(kernel: Kernel, log: EventLog, models: dict[str, ReadModel], database: Database) -> None:
    """What the process of the read models does, for ever."""
    behind: dict[str, ReadModel] = {}
    while True:
        progressed, known = False, len(database.events)
        for name, model in models.items():
            if model.rebuild and name not in behind:
                behind[name] = ReadModel(name)
            for one in (model, *([behind[name]] if name in behind else [])):
                if one is model and model.stalled:
                    continue
                limit = 1 + int(kernel.current.random.random() ** 3 * 60)
                try:
                    batch = log.read(one.position, limit)
                except RetryLater:
                    continue
                if batch.upto > one.position:
                    kernel.pause(int(kernel.current.random.random() * 30_000))
                    one.apply(batch.events, batch.upto)
                    kernel.tell(f"model {name}{' anew' if one is not model else ''} at {one.position}")
                    kernel.notify(one.moved, 100)
                    progressed = True
            if name in behind and behind[name].position >= model.position:
                new = behind.pop(name)
                model.position, model.rows, model.completed = new.position, new.rows, new.completed
                model.expired, model.rebuild = new.expired, False
                kernel.tell(f"model {name} replaced at {model.position}")
                kernel.notify(model.moved, 100)
        if not progressed:
            database.wait(kernel, known, soon=any(one.position < known for one in models.values()))


class SimLookups:
    """Implements FrameLookup, TransferLookup, MatchingFrames and FrameFinder for one process. `waiting` are transfers
    that wait somewhere: the real look for what is due leaves those out that are due there within a minute. `sealed` are
    the owners of what the vault has."""

    def __init__(
        self,
        wire: Wire,
        models: dict[str, ReadModel],
        matcher: FrameMatcher,
        waiting: Mapping[str, Row],
        sealed: Collection[str],
    ) -> None:
        self._wire, self._models, self._matcher = wire, models, matcher
        self._waiting, self._sealed = waiting, sealed

    def frames_of_observation(self, observation: str, *, at_least: int) -> Sequence[str]:
        """See FrameLookup."""
        return self._ask(
            "frames",
            at_least,
            f"frames_of {observation}",
            lambda rows: [name for name, frame in rows.items() if frame.exists and frame.observation == observation],
        )

    def frames_for_destination(self, storage_config: str, *, at_least: int) -> Sequence[str]:
        """See FrameLookup."""
        what = f"frames_for {storage_config}"
        selecting = self._ask(
            "observations",
            at_least,
            what,
            lambda rows: {name for name, one in rows.items() if storage_config in one.destinations},
        )
        found = self._ask(
            "frames",
            at_least,
            what,
            lambda rows: {name for name, frame in rows.items() if frame.exists and frame.observation in selecting},
        )
        sent = self._ask(
            "transfers",
            at_least,
            what,
            lambda rows: {one.request.frame for one in rows.values() if _goes_to(one, storage_config)},
        )
        return sorted(found | sent)

    def open_transfers(self, storage_config: str, *, at_least: int) -> Sequence[str]:
        """See TransferLookup."""
        return self._to(storage_config, ("pending", "in_progress"), at_least)

    def unended_transfers(self, storage_config: str, *, at_least: int) -> Sequence[str]:
        """See TransferLookup."""
        return self._to(storage_config, ("pending", "in_progress", "failed"), at_least)

    def open_transfers_of_frame(self, basename: str, *, at_least: int) -> Sequence[str]:
        """See TransferLookup."""
        return self._transfers(
            at_least,
            f"open_of {basename}",
            lambda one: one.request.frame == basename and one.status in ("pending", "in_progress"),
        )

    def failed_transfers(self, storage_config: str, *, at_least: int) -> Sequence[str]:
        """See TransferLookup."""
        return self._to(storage_config, ("failed",), at_least)

    def failed_transfers_of_observation(self, observation: str, *, at_least: int) -> Sequence[str]:
        """See TransferLookup."""
        return self._transfers(
            at_least,
            f"failed_of {observation}",
            lambda one: one.request.observation == observation and one.status == "failed",
        )

    def completed_transfers(
        self, *, storage_config: str | None = None, observation: str | None = None, at_least: int
    ) -> Sequence[str]:
        """See TransferLookup."""
        return self._transfers(
            at_least,
            f"completed {storage_config or observation}",
            lambda one: (
                one.status == "completed"
                and storage_config in (None, one.request.storage_config)
                and observation in (None, one.request.observation)
            ),
        )

    def expired_records(self, completed_before: datetime) -> int:
        """See TransferLookup."""
        model = self._models["transfers"]
        return self._ask("transfers", 0, "expired", lambda _: len(expiring(model, completed_before)))

    def running_transfers(self) -> Sequence[tuple[str, int, str]]:
        """See TransferLookup."""
        return self._ask(
            "transfers",
            0,
            "running",
            lambda rows: [
                (name, one.attempts, one.worker) for name, one in rows.items() if one.status == "in_progress"
            ],
        )

    def due_transfers(self) -> Sequence[str]:
        """See TransferLookup. By the database's clock."""

        def due(rows: dict[str, Transfer]) -> list[str]:
            now, soon = self._wire.kernel.time(), self._wire.kernel.now + 60 * SECOND
            waiting = {name for name, row in self._waiting.items() if row.due_at <= soon}
            return [name for name, one in rows.items() if name not in waiting and transfers.is_due(one, now)]

        return self._ask("transfers", 0, "due", due)

    def held_transfers(self) -> Sequence[tuple[str, str]]:
        """See TransferLookup."""
        return self._ask(
            "transfers",
            0,
            "held",
            lambda rows: [
                (name, one.request.storage_config)
                for name, one in rows.items()
                if one.held and one.status == "pending" and one.request
            ],
        )

    def sessions_kept_in_vain(self) -> Sequence[str]:
        """See TransferLookup."""
        return self._transfers(
            0,
            "sessions in vain",
            lambda one: (one.status in OVER or one.cleared) and session_owner(one.request.id) in self._sealed,
        )

    def paused_configs(self) -> Sequence[str]:
        """See TransferLookup."""
        return self._ask(
            "storage_configs",
            0,
            "paused",
            lambda rows: [
                name
                for name, one in rows.items()
                if one.paused_until and one.paused_until <= self._wire.kernel.time() and not one.deleted
            ],
        )

    def find(self, selection: FrameSelection, *, after: int, limit: int) -> Sequence[Found]:
        """See FrameFinder."""
        return self._found(after, limit, "find", lambda frame: selection.selects(frame.record))

    def count(self, selection: FrameSelection) -> int:
        """See FrameFinder."""
        return len(self.find(selection, after=0, limit=1_000_000))

    def unfinished_transfers(self, basenames: Sequence[str]) -> Sequence[str]:
        """See FrameFinder."""
        return self._transfers(
            0,
            f"unfinished {' '.join(basenames)}",
            lambda one: one.request.frame in basenames and one.status not in ("completed", "cancelled"),
        )

    def of_query(
        self, query: FrameQuery, viewer: Principal, now: datetime, *, after: int, limit: int
    ) -> Sequence[Found]:
        """See MatchingFrames."""
        return self._found(
            after,
            limit,
            "of_query",
            lambda frame: self._matcher.shows(query, frame.record, frame.headers, viewer, now),
        )

    def of_observation(self, observation: str, *, after: int, limit: int) -> Sequence[Found]:
        """See MatchingFrames."""
        return self._found(after, limit, f"of {observation}", lambda frame: frame.observation == observation)

    def newest(self, viewer: Principal, now: datetime, kinds: Sequence[Content], limit: int) -> Sequence[Found]:
        """Not asked for here."""
        raise NotImplementedError

    def _found(self, after: int, limit: int, what: str, meant: Callable[[Any], bool]) -> list[Found]:
        def find(rows: dict[str, Frame]) -> list[Found]:
            there = sorted((one for one in rows.values() if one.exists and one.record), key=lambda one: one.id)
            return [
                Found(one.id, one.record.basename) for one in there if one.record and one.id > after and meant(one)
            ][:limit]

        return self._ask("frames", 0, what, find)

    def _to(self, config: str, statuses: tuple[str, ...], at_least: int) -> Sequence[str]:
        return self._transfers(
            at_least,
            f"{statuses[0]}_to {config}",
            lambda one: one.request.storage_config == config and one.status in statuses,
        )

    def _transfers(self, at_least: int, what: str, meant: Callable[[Any], bool]) -> list[str]:
        return self._ask(
            "transfers",
            at_least,
            what,
            lambda rows: [
                name
                for name, one in rows.items()
                if one.request is not None and name not in self._models["transfers"].expired and meant(one)
            ],
        )

    def _ask(self, name: str, at_least: int, what: str, ask: Callable[[Any], T]) -> T:
        model, kernel = self._models[name], self._wire.kernel
        deadline = kernel.now + WAIT
        while model.position < at_least:
            if kernel.now >= deadline:
                raise RetryLater(f"The read model {name} is behind; try again in a moment.")
            kernel.wait(model.moved, deadline - kernel.now)
        return self._wire.call("lookup", f"{what} ({name} at {model.position})", lambda: ask(model.rows))
