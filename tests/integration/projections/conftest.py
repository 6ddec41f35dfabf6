"""Read models on a real database, with a log full of a little of everything."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import msgspec
import psycopg
import pytest

from adapters.event_store.log import PostgresEventLog
from adapters.sky.spherical_sky import SphericalSky
from api.bootstrap import read_models
from application.ports.event_log import Commit, Write
from domain import (
    accounts,
    frames,
    groups,
    mail_notices,
    observations,
    storage_configs,
    transfers,
    webhooks,
)
from domain.event import Cause, Event
from domain.footprint import Footprint
from domain.frame_record import FrameRecord
from domain.frames import (
    FileDeletedFromServer,
    FileProcessed,
    FrameAmended,
    FrameDeleted,
    FrameVersion,
    RelatedFramesChanged,
)
from domain.storage_configs import Settings
from domain.thumbnails import Thumbnail, ThumbnailAdded, ThumbnailRemoved
from domain.transfer_events import (
    TransferAttemptFailed,
    TransferCancelled,
    TransferChecked,
    TransferCheckFailed,
    TransferCheckpointed,
    TransferCheckRequested,
    TransferCleared,
    TransferCompleted,
    TransferFailed,
    TransferHeld,
    TransferInterrupted,
    TransferRecordsExpired,
    TransferReleased,
    TransferRequested,
    TransferRetried,
    TransferStarted,
)
from projections.projection import Projection
from projections.runner import create_missing

START = datetime(2026, 11, 1, 3, tzinfo=UTC)
MOMENT = timedelta(milliseconds=1)


def all_projections() -> list[Projection]:
    return read_models(SphericalSky())


@pytest.fixture
def log(database: str) -> Iterator[PostgresEventLog]:
    opened = PostgresEventLog(database)
    yield opened
    opened.close()


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as opened:
        create_missing(opened, all_projections())
        yield opened


class Writer:
    """Appends events at ever later times."""

    def __init__(self, log: PostgresEventLog) -> None:
        self._log = log
        self._versions: dict[str, int] = {}
        self.now = START

    def write(self, stream: str, *events: Event) -> int:
        self.now += timedelta(seconds=1)
        expected = self._versions.get(stream, 0)
        self._versions[stream] = expected + len(events)
        cause = Cause(actor="tester", via="cli")
        return self._log.append(Commit(writes=(Write(stream, expected, events),), cause=cause, at=self.now))

    def file(self, number: int, *, related: tuple[str, ...] = (), version: int = 0, target: str = "M31") -> int:
        """A version of frame `number`."""
        name = basename(number)
        record = FrameRecord(
            basename=name,
            observation_day=date(2026, 10, 31),
            configuration_type="EXPOSE",
            observation_date=START + timedelta(minutes=number),
            public_date=START + timedelta(days=365 if number % 2 else 0),
            proposal_id=f"P{number % 3}",
            instrument_id="fa12",
            target_name=target,
            site_id="coj",
            telescope_id="1m0a",
            observation_id=700 + number // 4,
            area=Footprint((((10.0, 1.0), (10.5, 1.0), (10.5, 1.5), (10.0, 1.5), (10.0, 1.0)),))
            if number % 3
            else None,
            related=related,
        )
        key = f"{number:028x}{version:04x}"
        new = FrameVersion(id=number * 100 + version + 1, key=key, md5=key, extension=".fits", path=f"coj/{name}.fits")
        event = FileProcessed(
            frame_id=number + 1,
            record=record,
            headers=msgspec.Raw(b'{"OBJECT":"%s"}' % target.encode()),
            versions=(new,),
        )
        return self.write(frames.stream_of(name), event)


def basename(number: int) -> str:
    return f"coj1m011-fa12-20261031-{number:04d}-e00"


def write_a_little_of_everything(writer: Writer) -> int:
    """Every event type that read models react to, in a believable order."""
    writer.write(accounts.stream_of("ada"), accounts.AccountCreated(username="ada"))
    writer.write(
        accounts.stream_of("ada"),
        accounts.AccountChanged(is_superuser=False, is_staff=True, active=True, proposals=("P1", "P2")),
        accounts.TokenIssued(hash="a" * 64),
        accounts.TokenIssued(hash="b" * 64),
        accounts.TokenRevoked(hash="a" * 64),
        accounts.AccountSynced(is_superuser=False, is_staff=False, portal_token="c" * 64),
        accounts.ProposalsLearned(proposals=("P2", "P3")),
    )
    config = "storage_config:cfg-1"
    writer.write(
        config,
        storage_configs.StorageConfigCreated(
            id="cfg-1", owner="ada", provider="folder", scope="personal", scope_id="",
            settings=Settings(display_name="Mine"), options={"root": "/srv/x"},
        ),
        storage_configs.StorageConfigEdited(settings=Settings(display_name="Ours"), options={"root": "/srv/y"}),
        storage_configs.StorageConfigPaused(reason="full", until=START),
        storage_configs.StorageConfigResumed(),
        storage_configs.StorageConfigAuthorizationLost(reason="revoked"),
        storage_configs.StorageConfigAuthorized(account="ada@example.org"),
        storage_configs.StorageConfigTested(ok=False, reason="not permitted"),
        storage_configs.StorageConfigDisabled(),
        storage_configs.StorageConfigEnabled(),
    )  # fmt: skip
    observation = observations.stream_of("700")
    writer.write(
        observation,
        observations.ObservationSubmitted(id="700", owner="ada", name="M31", number=700),
        observations.DestinationsSelected(id="700", destinations=("cfg-1",)),
    )
    writer.write(observations.stream_of("obs-x"), observations.ObservationDiscovered(id="obs-x", target="M33"))
    for number in range(12):
        related = tuple(basename(other) for other in (number, number - 1, number + 3, 999) if other >= 0)
        writer.file(number, related=related)
    writer.file(3, version=1, target="Ñandú")
    writer.file(3, version=2, related=(basename(1),))
    record = FrameRecord(basename=basename(5), observation_day=date(2026, 10, 31), target_name="amended")
    writer.write(frames.stream_of(basename(5)), FrameAmended(frame_id=6, record=record))
    writer.write(
        frames.stream_of(basename(6)),
        FileDeletedFromServer(frame_id=7, version_id=601, path="p", key="k", justified_by=("v601-cfg-1",)),
    )
    writer.write(frames.stream_of(basename(7)), FrameDeleted(frame_id=8, versions=()))
    for kind in ("organization", "project"):
        _group(writer, kind)
    writer.file(20, related=(basename(7), basename(8)))  # the first of them has just gone
    writer.file(7)
    writer.file(21, related=(basename(1), basename(30), basename(2)))
    change = RelatedFramesChanged(frame_id=22, added=(basename(4), basename(31)), removed=(basename(1), basename(30)))
    writer.write(frames.stream_of(basename(21)), change)
    writer.file(30)
    writer.file(31)
    _thumbnails(writer)
    _transfer(writer, 8, "expired")
    writer.write(transfers.UPKEEP_STREAM, TransferRecordsExpired(completed_before=writer.now + MOMENT))
    for number, outcome in enumerate(("completed", "failed", "cancelled", "pending", "running", "missing", "cleared")):
        _transfer(writer, number, outcome)
    for enabled in (True, True, False, True):
        chosen = mail_notices.MailNoticesChosen(enabled=enabled)
        writer.write(mail_notices.stream_of("ada"), chosen)
    for number in (1, 2):
        created = webhooks.WebhookCreated(
            id=f"hook-{number}", owner="ada", name="Pipeline", host="hooks.example.org", interests=("state", "failure")
        )
        writer.write(webhooks.stream_of(f"hook-{number}"), created)
    writer.write(webhooks.stream_of("hook-2"), webhooks.WebhookDeleted())
    return writer.write(config, storage_configs.StorageConfigDeleted())


def _group(writer: Writer, kind: groups.GroupKind) -> None:
    writer.write(
        groups.stream_of(kind, "g1"),
        groups.GroupCreated(id="g1", kind=kind, name="Survey", owner="ada"),
        groups.GroupRenamed(name="Galaxy Survey"),
        groups.MemberSet(username="ben", permissions=()),
        groups.MemberSet(username="ben", permissions=("can_manage_members",)),
        groups.MemberSet(username="eve", permissions=("can_manage_storage",)),
        groups.OwnershipTransferred(owner="ben", former="ada"),
        groups.MemberRemoved(username="eve"),
    )
    writer.write(
        groups.stream_of(kind, "g2"),
        groups.GroupCreated(id="g2", kind=kind, name="Short-lived", owner="ada"),
        groups.GroupDeleted(),
    )


def _thumbnails(writer: Writer) -> None:
    small = Thumbnail(id=9001, basename="small", extension=".jpg", size="small", key="k1", path="t/small.jpg")
    large = Thumbnail(id=9002, basename="large", extension=".jpg", size="large", key="k2", path="t/large.jpg")
    lone = Thumbnail(id=9003, basename="lone", extension=".jpg", size="large", key="k3", path="t/lone.jpg")
    record = FrameRecord(basename=basename(40), observation_date=START)
    writer.write(
        frames.stream_of(basename(40)),
        FrameAmended(frame_id=41, record=record, headers=msgspec.Raw(b'{"USERID":"ada"}')),
        ThumbnailAdded(frame_id=41, thumbnail=small),
        ThumbnailAdded(frame_id=41, thumbnail=large),
        ThumbnailAdded(frame_id=41, thumbnail=msgspec.structs.replace(large, key="k4"), replaced=large),
        ThumbnailAdded(frame_id=41, thumbnail=lone),
        ThumbnailRemoved(frame_id=41, thumbnail=lone),
        ThumbnailRemoved(frame_id=41, thumbnail=small, moved_to=basename(1)),
    )
    writer.write(frames.stream_of(basename(1)), ThumbnailAdded(frame_id=2, thumbnail=small))
    writer.file(41)
    writer.write(
        frames.stream_of(basename(41)),
        ThumbnailAdded(frame_id=42, thumbnail=lone),
        FrameDeleted(frame_id=42, versions=(), thumbnails=(lone,)),
    )


def _transfer(writer: Writer, number: int, outcome: str) -> None:
    name = f"v{number * 100 + 1}-cfg-1"
    stream = transfers.stream_of(name)
    writer.write(
        stream,
        TransferRequested(
            id=name, storage_config="cfg-1", provider="folder", frame=basename(number), frame_id=number + 1,
            version_id=number * 100 + 1, filename="x.fits", content="raw", destination_path="/x.fits", store_path="p",
            store_key="k", md5="m", size=10, observation="700", owner="ada",
        ),
        TransferStarted(attempt=1, worker="w"),
    )  # fmt: skip
    later = writer.now + timedelta(minutes=5)
    endings: dict[str, tuple[Event, ...]] = {
        "completed": (
            TransferCheckpointed(attempt=1, bytes_sent=4),
            TransferCompleted(
                attempt=1, destination_path="/x.fits", remote_id="1", bytes_sent=10, verified={"md5": "m"}
            ),
            TransferCheckRequested(),
            TransferCheckFailed(failures=1, reason="503", error="RetryLater", next_check_at=later),
            TransferChecked(outcome="verified", verified={"md5": "m"}),
        ),
        "expired": (
            TransferCompleted(
                attempt=1, destination_path="/x.fits", remote_id="1", bytes_sent=10, verified={"md5": "m"}
            ),
        ),
        "cleared": (
            TransferFailed(attempt=1, reason="no", error="GiveUp"),
            TransferCleared(),
        ),
        "missing": (
            TransferCompleted(
                attempt=1, destination_path="/x.fits", remote_id="1", bytes_sent=10, verified={"md5": "m"}
            ),
            TransferCheckRequested(),
            TransferChecked(outcome="missing", reason="gone"),
            TransferRetried(),
        ),
        "failed": (
            TransferAttemptFailed(attempt=1, failures=1, reason="503", error="RetryLater", next_attempt_at=later),
            TransferStarted(attempt=2, worker="w"),
            TransferFailed(attempt=2, reason="no bucket", error="GiveUp"),
            TransferRetried(),
            TransferStarted(attempt=3, worker="w"),
            TransferFailed(attempt=3, reason="no bucket", error="GiveUp"),
        ),
        "cancelled": (
            TransferHeld(reason="full"),
            TransferReleased(),
            TransferCancelled(reason="enough"),
        ),
        "pending": (TransferInterrupted(attempt=1, reason="lost"),),
        "running": (),
    }
    if endings[outcome]:
        writer.write(stream, *endings[outcome])
