"""Events that tests start from, and the log that holds them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime

import msgspec

from application.ports.event_log import Commit, EventLog, Write
from domain import accounts, frames, observations, storage_configs, transfers
from domain.accounts import AccountChanged, AccountCreated
from domain.event import Cause, Event, Recorded
from domain.frame_record import FrameRecord
from domain.frames import FileProcessed, FrameVersion
from domain.hashes import Hashes
from domain.observations import DestinationsSelected, ObservationSubmitted
from domain.storage_configs import Content, FileContent, Settings, StorageConfigCreated
from domain.thumbnails import Thumbnail
from domain.transfer_events import TransferCompleted, TransferRequested, TransferStarted
from tests.fakes.clock import NOON

CAUSE = Cause(actor="ana", via="api", correlation="request-1")
VERIFIED = {"md5": "00"}


def recorded(*events: Event, stream: str = "sample:1", at: datetime = NOON) -> list[Recorded]:
    """A stream's history of these events."""
    return [Recorded(stream, number, number, at, CAUSE, event) for number, event in enumerate(events, 1)]


def record(log: EventLog, stream: str, *events: Event, at: datetime = NOON, claims: Iterable[str] = ()) -> int:
    """Append events to a stream, whatever it holds."""
    write = Write(stream, len(log.load(stream)), events)
    return log.append(Commit(writes=(write,), cause=CAUSE, at=at, claims=tuple(claims)))


def version(
    version_id: int, data: bytes | None = None, *, extension: str = ".fits", known: bool = True
) -> FrameVersion:
    """A version of these bytes; `known` is whether somebody has read them already."""
    content = f"bytes of {version_id}".encode() if data is None else data
    return FrameVersion(
        id=version_id,
        key=f"key-{version_id}",
        md5=hashlib.md5(content).hexdigest(),
        extension=extension,
        path=f"files/{version_id}{extension}",
        size=len(content) if known else None,
        hashes=hashes_of(content) if known else None,
    )


def hashes_of(data: bytes) -> Hashes:
    """Checksums of a few bytes; those that no test compares are made up."""
    return Hashes(
        md5=hashlib.md5(data).hexdigest(), sha256=hashlib.sha256(data).hexdigest(), crc32c="00000000", dropbox="d"
    )


def thumbnail(thumbnail_id: int, basename: str = "", *, key: str = "") -> Thumbnail:
    """A small picture."""
    return Thumbnail(
        id=thumbnail_id,
        basename=basename or f"small-{thumbnail_id}",
        extension=".jpg",
        size="small",
        key=key or f"picture-{thumbnail_id}",
        path=f"thumbnails/{basename or thumbnail_id}.jpg",
    )


def file_processed(
    basename: str,
    *versions: FrameVersion,
    observation: str | None = None,
    calibrated_from: str | None = None,
    level: int = 0,
    related: tuple[str, ...] = (),
    number: int | None = None,
) -> FileProcessed:
    """A file's arrival. Raw unless `calibrated_from` or `level` says otherwise."""
    return FileProcessed(
        frame_id=versions[0].id * 1000,
        record=FrameRecord(
            basename=basename,
            reduction_level=level,
            proposal_id="PROP-1",
            target_name="M31",
            observation_id=number,
            related=related,
        ),
        headers=msgspec.Raw(b"{}"),
        versions=versions,
        observation=observation,
        calibrated_from=calibrated_from,
    )


def config_created(
    config_id: str, file_content: FileContent = "raw", *, delete: bool = False, template: str = "$TARGET"
) -> StorageConfigCreated:
    """A folder destination of ana's."""
    return StorageConfigCreated(
        id=config_id,
        owner="ana",
        provider="folder",
        scope="personal",
        scope_id="",
        settings=Settings(
            display_name=config_id,
            destination_path="/fits-data",
            path_template=template,
            file_content=file_content,
            delete_from_server=delete,
        ),
        options={"root": "/srv"},
    )


def transfer_requested(
    version_id: int,
    config: str,
    *,
    frame: str = "m31",
    content: Content = "raw",
    delete: bool = False,
    data: bytes = b"x",
) -> TransferRequested:
    """A wish for a version at a destination."""
    return TransferRequested(
        id=transfers.transfer_id(version_id, config),
        storage_config=config,
        provider="folder",
        frame=frame,
        frame_id=version_id * 1000,
        version_id=version_id,
        filename=f"{frame}.fits",
        content=content,
        destination_path=f"/fits-data/M31/{frame}.fits",
        store_path=f"files/{version_id}.fits",
        store_key=f"key-{version_id}",
        md5=hashlib.md5(data).hexdigest(),
        size=len(data),
        hashes=hashes_of(data),
        observation="obs",
        owner="ana",
        delete_from_server=delete,
    )


def started(attempt: int = 1, worker: str = "w1") -> TransferStarted:
    """A worker's win."""
    return TransferStarted(attempt=attempt, worker=worker)


def completed(attempt: int = 1) -> TransferCompleted:
    """A verified copy."""
    return TransferCompleted(
        attempt=attempt, destination_path="/fits-data/x.fits", remote_id="r1", bytes_sent=1, verified=VERIFIED
    )


def submitted(log: EventLog, observation: str, *destinations: str) -> int:
    """Record an observation of ana's with these destinations; ana is a member of the samples' proposal."""
    if not log.load(accounts.stream_of("ana")):
        member = AccountChanged(is_superuser=False, is_staff=False, active=True, proposals=("PROP-1",))
        record(log, accounts.stream_of("ana"), AccountCreated(username="ana"), member)
    events: list[Event] = [
        ObservationSubmitted(id=observation, owner="ana", name="Andromeda", project="Galaxy Survey", target="M31")
    ]
    if destinations:
        events.append(DestinationsSelected(id=observation, destinations=destinations))
    return record(log, observations.stream_of(observation), *events)


def configured(log: EventLog, config_id: str, file_content: FileContent = "raw", *, delete: bool = False) -> int:
    """Record a destination."""
    created = config_created(config_id, file_content, delete=delete)
    return record(log, storage_configs.stream_of(config_id), created)


def arrived(log: EventLog, event: FileProcessed) -> int:
    """Record a file's arrival."""
    return record(log, frames.stream_of(event.record.basename), event)


def delivered(log: EventLog, transfer: str) -> int:
    """Let a requested transfer be carried and completed."""
    state = transfers.fold(log.load(transfers.stream_of(transfer)))
    attempt = state.attempts + 1
    return record(log, transfers.stream_of(transfer), started(attempt), completed(attempt))


def transfer_state(log: EventLog, transfer: str) -> transfers.Transfer:
    """A transfer as the log has it."""
    return transfers.fold(log.load(transfers.stream_of(transfer)))
