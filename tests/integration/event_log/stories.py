"""Small logs with a bit of everything that a check, an export and an import must get right."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import psycopg

from adapters.event_store.log import PostgresEventLog
from application.policies.policy import cause_of
from application.ports.event_log import Commit, Write
from domain import destination_paths, frames, thumbnails, transfers
from domain.event import Cause, Event, Recorded
from domain.frame_record import FrameRecord
from domain.frames import FileProcessed, FilesRemoved, FrameDeleted, FrameVersion
from domain.thumbnails import Thumbnail, ThumbnailAdded, ThumbnailRemoved
from domain.transfer_events import TransferRequested
from tests.contract.event_log_harness import NOW

BY = Cause(actor="ada", via="api", correlation="c0ffee")


class Story:
    """Writes events as the program does, with their claims."""

    def __init__(self, log: PostgresEventLog, number: int = 0) -> None:
        self.log = log
        self.number = number
        self.headers: msgspec.Raw | None = None

    def frame(self, name: str = "") -> int:
        """A frame with one version."""
        self.number += 10
        name = name or f"frame-{self.number}"
        version = FrameVersion(id=self.number + 1, key=f"k{self.number}", md5=f"m{self.number}", extension=".fits")
        made_up = {"OBJECT": f"M{self.number}", "TEXT": "x" * 300}
        headers = self.headers or msgspec.Raw(msgspec.json.encode(made_up))
        known = frames.fold(self.log.load(frames.stream_of(name)))
        event = FileProcessed(
            frame_id=known.id or self.number, record=FrameRecord(basename=name), headers=headers, versions=(version,)
        )
        return self._append(frames.stream_of(name), event, claims=frames.claims_of(version))

    def thumbnail(self, frame: str, name: str, number: int = 0) -> int:
        """A thumbnail; with the number of one that is there, its new name."""
        before = frames.fold(self.log.load(frames.stream_of(frame)))
        known = next((one for one in before.thumbnails if one.id == number), None)
        self.number += 10
        picture = Thumbnail(id=number or self.number, basename=name, extension=".jpg", size="small", key="k")
        return self._append(
            frames.stream_of(frame),
            ThumbnailAdded(frame_id=before.id, thumbnail=picture),
            claims=(thumbnails.claim_of(name),),
            releases=(thumbnails.claim_of(known.basename),) if known else (),
        )

    def move_thumbnail(self, frame: str, name: str, target: str) -> int:
        """To another frame."""
        owner = frames.fold(self.log.load(frames.stream_of(frame)))
        picture = owner.thumbnail(name)
        assert picture is not None
        gone = ThumbnailRemoved(frame_id=owner.id, thumbnail=picture, moved_to=target)
        self._append(frames.stream_of(frame), gone)
        there = frames.fold(self.log.load(frames.stream_of(target)))
        return self._append(frames.stream_of(target), ThumbnailAdded(frame_id=there.id, thumbnail=picture))

    def delete(self, name: str) -> int:
        """A frame, and its bytes, so that its names are free again."""
        stream = frames.stream_of(name)
        (event,) = frames.delete(frames.fold(self.log.load(stream)))
        assert isinstance(event, FrameDeleted)
        deleted = self._append(stream, event)
        removed = FilesRemoved(deletion=len(self.log.load(stream)))
        return self._append(
            stream, removed, releases=frames.names_given_up(event), cause=self._because("RemoveDeletedFiles", deleted)
        )

    def transfer(self, name: str, at: int) -> int:
        """A transfer of a frame, asked for by a policy on account of the event there."""
        frame = frames.fold(self.log.load(frames.stream_of(name)))
        version = frame.newest
        assert version is not None
        path = f"/data/{name}~v{version.id}.fits"
        event = TransferRequested(
            id=f"v{version.id}-cfg-1",
            storage_config="cfg-1",
            provider="folder",
            frame=name,
            frame_id=frame.id,
            version_id=version.id,
            filename=f"{name}.fits",
            content="raw",
            destination_path=path,
            store_path="",
            store_key=version.key,
            md5=version.md5,
        )
        claim = destination_paths.path_claim("cfg-1", path)
        cause = self._because("DeliverToDestinations", at)
        return self._append(transfers.stream_of(event.id), event, claims=(claim,), cause=cause)

    def fill(self, count: int) -> None:
        """Frames, of which some are delivered, pictured, renamed or deleted."""
        for number in range(count):
            name = f"f{number}"
            at = self.frame(name)
            match number % 5:
                case 0:
                    self.transfer(name, at)
                case 1:
                    self.thumbnail(name, f"{name}-small")
                case 2:
                    self.thumbnail(name, f"{name}-a")
                    self.thumbnail(name, f"{name}-b", self.number)
                    self.move_thumbnail(name, f"{name}-b", f"f{number - 1}")
                case 3:
                    self.delete(name)
                case _:
                    self.burn()

    def burn(self) -> None:
        """Use up a position, as a transaction does that is rolled back."""
        with self.log.datastore.get_connection() as connection:
            connection.execute("SELECT nextval('starferry.starferry_events_notification_id_seq')")

    def _because(self, policy: str, position: int) -> Cause:
        trigger = self.log.read(position - 1, 1).events[0]
        return cause_of(policy, trigger)

    def _append(
        self,
        stream: str,
        *events: Event,
        claims: tuple[str, ...] = (),
        releases: tuple[str, ...] = (),
        cause: Cause = BY,
    ) -> int:
        history: list[Recorded] = list(self.log.load(stream))
        at = NOW + timedelta(seconds=self.log.head())
        write = Write(stream, len(history), events)
        return self.log.append(Commit(writes=(write,), cause=cause, at=at, claims=claims, releases=releases))


def contents(conninfo: str) -> dict[str, list[Any]]:
    """All that an import must bring, as rows."""
    with psycopg.connect(conninfo) as connection:
        return {
            "events": connection.execute(
                "SELECT notification_id, originator_id, originator_version, topic, state "
                "FROM starferry.starferry_events ORDER BY 1"
            ).fetchall(),
            "claims": connection.execute("SELECT name FROM starferry.claim ORDER BY 1").fetchall(),
            "seals": connection.execute("SELECT * FROM starferry.seal ORDER BY upto").fetchall(),
        }
