"""What must always hold: looked at when each event is committed and each byte is removed, and again when all is quiet.

The checks don't ask the program: they fold the log by themselves, and look at the far sides and the disk.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

from application.archived_message import archived_message
from application.upload_sessions import OVER, session_owner
from domain import frames, observations, storage_configs, transfers
from domain.event import Recorded
from domain.frames import FileDeletedFromServer, FileProcessed, Frame, FrameDeleted
from domain.observations import Observation
from domain.storage_configs import StorageConfig
from domain.transfer_events import (
    TransferCancelled,
    TransferCheckRequested,
    TransferCompleted,
    TransferFailed,
    TransferRequested,
    TransferRetried,
    TransferStarted,
)
from domain.transfers import Transfer
from tests.simulation.kernel import Violation
from tests.simulation.read_models import ReadModel
from tests.simulation.state import World


class Checks:
    """Follows the log of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.frames: dict[str, Frame] = {}
        self.transfers: dict[str, Transfer] = {}
        self.configs: dict[str, StorageConfig] = {}
        self.observations: dict[str, Observation] = {}
        self.arrived: list[tuple[int, FileProcessed]] = []
        self.versions: Counter[str] = Counter()
        self.seen = 0
        self.lost: set[str] = set()
        """Transfers whose copy somebody else has touched."""

    def committed(self, recorded: Recorded) -> None:
        """An event is in the log."""
        try:
            self._follow(recorded)
        except Violation as violation:
            self.world.kernel.fail(violation)

    def removing(self, path: str, key: str) -> None:
        """Bytes are about to leave the file store."""
        for frame in self.frames.values():
            for version in frame.versions:
                if (version.path, version.key) == (path, key) and version.id not in frame.deleted_from_server:
                    name = frame.record.basename if frame.record else ""
                    lost = Violation(f"{name} version {version.id}: its bytes are removed, the archive still has it")
                    self.world.kernel.fail(lost)
                    raise lost

    def _follow(self, recorded: Recorded) -> None:
        self.seen += 1
        must(recorded.position == self.seen, f"position {recorded.position} follows {self.seen - 1}")
        self.versions[recorded.stream] += 1
        must(recorded.version == self.versions[recorded.stream], f"{recorded.stream} skips a version")
        self._caused(recorded)
        kind, _, name = recorded.stream.partition(":")
        match kind:
            case "transfer":
                before = self.transfers.get(name, Transfer())
                after = self.transfers[name] = transfers.evolve(before, recorded)
                self._transfer(name, before, after, recorded)
            case "frame":
                frame = self.frames.get(name, Frame())
                if isinstance(recorded.event, FileDeletedFromServer):
                    self._deletion(name, frame, recorded.event)
                if isinstance(recorded.event, FrameDeleted) and recorded.cause.actor.startswith("retention:"):
                    self._outlived(name, frame)
                if isinstance(recorded.event, FileProcessed):
                    self.arrived.append((recorded.position, recorded.event))
                self.frames[name] = frames.evolve(frame, recorded)
            case "storage_config":
                self.configs[name] = storage_configs.evolve(self.configs.get(name, StorageConfig()), recorded)
            case "observation":
                self.observations[name] = observations.evolve(self.observations.get(name, Observation()), recorded)
            case _:
                pass

    def _caused(self, recorded: Recorded) -> None:
        cause = recorded.cause
        must(bool(cause.actor and cause.via), f"nobody caused {recorded.position}")
        caused = cause.via in ("policy", "worker") if cause.causation is not None else cause.via != "policy"
        must(caused, f"{recorded.position} has an odd cause: {cause}")
        if cause.causation is not None:
            must(0 < cause.causation < recorded.position, f"{recorded.position} was caused by what came later")
            trigger = self.world.database.events[cause.causation - 1]
            if cause.via == "worker":  # it works for whoever asked for the transfer last
                before = self.world.database.streams[trigger.stream][: trigger.version]
                trigger = next((one for one in reversed(before) if isinstance(one.event, ASKED)), trigger)
            must(trigger.cause.correlation == cause.correlation, f"{recorded.position} lost its correlation")

    def _transfer(self, name: str, before: Transfer, after: Transfer, recorded: Recorded) -> None:
        event = recorded.event
        where = f"{name} at {recorded.position}"
        match event:
            case TransferRequested():
                must(recorded.version == 1, f"{where} is requested twice")
            case TransferStarted():
                must(before.status == "pending" and not before.held, f"{where} starts while {before.status}")
                must(event.attempt == before.attempts + 1, f"{where} miscounts its attempts")
            case TransferCompleted():
                must(before.status == "in_progress", f"{where} completes while {before.status}")
                must(event.attempt == before.attempts, f"{where} is completed by a worker that was overtaken")
                must(bool(event.verified), f"{where} completes without a checksum")
                self._there(name, after, where)
            case TransferCancelled():
                arrived = before.status == "completed" and before.copy not in ("missing", "changed")
                must(not arrived and before.status != "cancelled", f"{where} is cancelled while {before.status}")
            case _:
                pass
        for far in self.world.far.values():
            tokens = Counter(one.token for one in far.objects if one.token)
            must(all(count == 1 for count in tokens.values()), f"{where}: two objects of one transfer, {tokens}")

    def _there(self, name: str, transfer: Transfer, where: str) -> None:
        """The copy is there, with our bytes, unless somebody else has touched it."""
        assert transfer.request is not None
        assert transfer.completed is not None
        far = self.world.far[transfer.request.storage_config]
        path = transfer.completed.destination_path
        if path in far.meddled:
            return
        found = [one for one in far.at(path) if hashlib.md5(one.data).hexdigest() == transfer.request.md5]
        must(bool(found), f"{where}: there is no such copy at {path}")

    def _deletion(self, name: str, frame: Frame, event: FileDeletedFromServer) -> None:
        """S54, from the log alone and by looking at every copy."""
        raw_name = name if frame.is_raw else self._raw_of(name)
        raw = self.frames.get(raw_name, frame)
        family = {raw_name: raw} | {one: self.frames[one] for one, _ in raw.calibrated if one in self.frames}
        files = [
            (one, version)
            for one, member in family.items()
            for version in member.versions
            if version.id not in member.deleted_from_server
        ]
        where = f"{name} version {event.version_id} leaves the server"
        states = self.transfers
        for basename, version in files:
            mine = {key: one for key, one in states.items() if one.request and one.request.version_id == version.id}
            for key, one in mine.items():
                must(one.status in ("completed", "cancelled"), f"{where} while {key} is {one.status}")
                must(
                    one.status == "cancelled" or one.copy not in ("missing", "changed"), f"{where}, {key} is {one.copy}"
                )
                if one.status == "completed":
                    self._there(key, one, where)
            observation = self.observations.get(raw.observation or "", Observation())
            content: Any = "raw" if basename == raw_name else "calibrated"
            for config in (self.configs[one] for one in observation.destinations):
                if not config.deleted and config.settings.wants(content):
                    wanted = transfers.transfer_id(version.id, config.id)
                    must(wanted in states, f"{where} while {wanted} isn't even requested")
        asked = [states[key].request for key in event.justified_by]
        must(any(one and one.delete_from_server for one in asked), f"{where} and nobody asked for it")
        must(all(states[key].delivered for key in event.justified_by), f"{where}, justified by what isn't delivered")
        observation = self.observations.get(raw.observation or "", Observation())
        waiting = [self.configs[one] for one in observation.destinations if not self.configs[one].deleted]
        must(
            not (raw.expects_calibration() and any(one.settings.wants("calibrated") for one in waiting)),
            f"{where} while a calibrated file is expected",
        )

    def _outlived(self, name: str, frame: Frame) -> None:
        """A frame goes for its age: no copy of it may be on its way, failed or lost."""
        versions = {version.id for version in frame.versions}
        for key, one in self.transfers.items():
            if one.request and one.request.version_id in versions:
                fine = one.status == "cancelled" or (one.status == "completed" and one.delivered)
                must(fine, f"{name} goes for its age while {key} is {one.status}, its copy {one.copy}")

    def _raw_of(self, calibrated: str) -> str:
        for name, frame in self.frames.items():
            if any(one == calibrated for one, _ in frame.calibrated):
                return name
        return calibrated

    def at_rest(self) -> None:
        """All is quiet and nothing is broken any more."""
        world = self.world
        must(not world.database.dead_letters, f"dead letters: {world.database.dead_letters}")
        head = len(world.database.events)
        for name, engine in world.engines.items():
            for policy, position in engine.positions().items():
                must(position == head, f"{name}: {policy} stands at {position} of {head}")
        self._transfers_ended()
        self._everything_requested()
        self._files()
        self._read_models()
        self._heard()
        must(not world.notices.todo, f"jobs are left: {world.notices.todo}")
        must(not world.waiting.rows, f"somebody still waits: {world.waiting.rows}")
        must(not world.places.slots, f"places were not given back: {world.places.slots}")
        for name, limits in world.limits.items():
            must(not +limits.running, f"{name} did not give back {limits.running}")
        over = {session_owner(name) for name, one in self.transfers.items() if one.status in OVER}
        must(not over & world.sealed.keys(), f"sessions of what is over are kept: {sorted(over & world.sealed.keys())}")

    def _transfers_ended(self) -> None:
        for name, one in self.transfers.items():
            assert one.request is not None
            config = self.configs[one.request.storage_config]
            match one.status:
                case "completed":
                    must(not one.checking or one.next_check_at is not None, f"{name} is still to be checked")
                    if one.delivered:
                        self._there(name, one, f"{name} at rest")
                case "failed" | "cancelled":
                    must(bool(one.reason), f"{name} is {one.status} for no reason")
                case _:
                    waits = config.needs_authorization or config.paused_until
                    must(one.held and bool(one.reason) and bool(waits), f"{name} is stuck: {one}, {config}")

    def _everything_requested(self) -> None:
        """What the selected destinations of each observation want, they were to get."""
        for observation in self.observations.values():
            if not observation.submitted:
                continue
            for config in (self.configs[one] for one in observation.destinations):
                if config.deleted:
                    continue
                for name, frame in self.frames.items():
                    if not frame.exists or frame.observation != observation.id or frame.newest is None:
                        continue
                    raw = [one for one in self.frames.values() if (name, frame.newest.id) in one.calibrated]
                    if any(one.observations != frame.observations for one in raw):
                        continue  # its raw frame has gone over to another observation
                    calibrated = bool(raw)
                    content: Any = "calibrated" if calibrated else "raw"
                    if not calibrated and not frame.is_raw:
                        continue
                    if config.settings.wants(content) and frame.newest.id not in frame.deleted_from_server:
                        wanted = transfers.transfer_id(frame.newest.id, config.id)
                        must(wanted in self.transfers, f"{wanted} ({name}) was never requested")

    def _files(self) -> None:
        """The bytes of every version are there, or were let go on purpose; and what was let go is gone."""
        disk = self.world.disk
        known: dict[str, str] = {}
        for name, frame in self.frames.items():
            for version in frame.versions:
                data = disk.seen.get(version.path)
                there = data is not None and hashlib.md5(data).hexdigest() == version.md5
                gone = version.id in frame.deleted_from_server
                again = there and gone and version.path in disk.again
                must(there != gone or again, f"{name} version {version.id}: {'there' if there else 'lost'}, {gone=}")
                known[version.md5] = name
        ever = {version.md5 for _, event in self.arrived for version in event.versions}
        for md5, told in self.world.ingested.items():
            must(md5 in ever, f"{told} was acknowledged and isn't in the log")

    def _read_models(self) -> None:
        folds: dict[str, dict[str, Any]] = {
            "frames": self.frames, "transfers": self.transfers, "storage_configs": self.configs,
        }  # fmt: skip
        for name, rows in folds.items():
            model: ReadModel = self.world.models[name]
            must(model.position == self.seen, f"the read model {name} stands at {model.position}")
            must(model.rows == rows, f"the read model {name} isn't what the log says")

    def _heard(self) -> None:
        first = list(dict.fromkeys(one.id for one in self.world.listeners.messages))
        must(first == [str(position) for position, _ in self.arrived], f"the broker heard {first}")
        bodies = {one.id: one.body for one in self.world.listeners.messages}
        for position, event in self.arrived:
            must(bodies[str(position)] == archived_message(event), f"the message of {position} is another")
        for name, noted in self.world.noted.items():
            posted = self.world.listeners.posted.get(name, 0)
            if noted.status == "failed":
                must(noted.delivery.attempts > 6, f"the notice {name} is given up too early")
                continue
            must(noted.status == "delivered", f"the notice {name} is {noted.status}")
            must(posted > 0, f"the notice {name} is said to be delivered")
        news = {f"hook-1.{one.position}" for one in self.world.database.events if one.event.topic in _NEWS}
        must(news <= self.world.noted.keys(), f"nobody was told of {news - self.world.noted.keys()}")

    def all_well(self) -> None:
        """After owners have mended what only they can: nothing is left but what can't be helped."""
        for name, one in self.transfers.items():
            must(one.status in ("completed", "cancelled", "failed"), f"{name} is {one.status} though all is well")
            assert one.request is not None
            if one.status == "failed" and not self.configs[one.request.storage_config].deleted:
                helpless = any(text in one.reason for text in HELPLESS)
                must(helpless, f"{name} failed though all is well: {one.reason}")


ASKED = (TransferRequested, TransferRetried, TransferCheckRequested)
_NEWS = frozenset({TransferCompleted.topic, TransferFailed.topic, TransferRequested.topic, TransferCancelled.topic})
HELPLESS = ("Another file has that name", "no longer on the server", "storage configuration was deleted")


def must(holds: bool, otherwise: str) -> None:
    """Raise Violation unless it holds."""
    if not holds:
        raise Violation(otherwise)
