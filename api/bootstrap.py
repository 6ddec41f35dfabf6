"""The wiring of everything, on one page: which adapter serves which port, which policies and read models there are.

What operators do now and then (taking over an archive, deleting many frames) is wired in api/operations.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import BinaryIO

import msgspec
import psycopg
from psycopg_pool import ConnectionPool

from adapters.clock import SystemClock
from adapters.destinations.consents import Consents
from adapters.destinations.folder_ids import PostgresFolderIds
from adapters.destinations.opening import Destinations, Endpoints
from adapters.event_store.dead_letters import PostgresDeadLetters
from adapters.event_store.follow import Wakeup
from adapters.event_store.log import PostgresEventLog
from adapters.event_store.numbers import BlockNumbers
from adapters.event_store.seals import Sealer
from adapters.file_store.hashing import hash_file
from adapters.fits.settings import FitsSettings
from adapters.fits.stored_paths import stored_path, stored_thumbnail_path
from adapters.jobs.limits import PostgresLimits
from adapters.jobs.lock_session import lock_session
from adapters.jobs.queue import PostgresJobs
from adapters.jobs.workers import PostgresWorkers
from adapters.mail.book import PREFIX, PostgresDigests
from adapters.mail.smtp import SmtpMailer
from adapters.passwords import PostgresPasswords
from adapters.portal.client import HttpPortal
from adapters.progress import ProgressNotices
from adapters.sessions import PostgresSessions
from adapters.sky.spherical_sky import SphericalSky
from adapters.vault.keyring import open_keyring
from adapters.vault.postgres_vault import PostgresVault
from adapters.webhooks.book import PostgresDeliveries
from adapters.webhooks.sender import HttpWebhookSender
from api.chosen import frame_reader, link_key, open_portal, open_store
from api.links import Links
from api.settings import Settings
from application.event_search import EventSearch
from application.fair_share import places_for
from application.ferry import Ferry
from application.frame_matching import FrameMatcher
from application.left_secrets import SecretCleaning
from application.mail_post import MailPost
from application.policies.cancel_transfers_of_deleted_frames import CancelTransfersOfDeletedFrames
from application.policies.complete_calibrations import CompleteCalibrations
from application.policies.delete_when_all_delivered import DeleteWhenAllDelivered
from application.policies.deliver_standing_queries import DeliverStandingQueries
from application.policies.deliver_to_destinations import DeliverToDestinations
from application.policies.effects import NudgeWorkers
from application.policies.engine import PolicyEngine
from application.policies.follow_destination import FollowDestination
from application.policies.notify_by_mail import NotifyByMail
from application.policies.notify_webhooks import NotifyWebhooks
from application.policies.policy import Effect, Policy
from application.policies.publish_archived import BLOCK, PublishArchived
from application.policies.reconsider_deletions import ReconsiderDeletions
from application.policies.remove_deleted_files import RemoveDeletedFiles
from application.policies.runner import PolicyRunner, checkpoint_of
from application.ports.content import Content
from application.ports.file_store import FileStore
from application.ports.frame_reader import FrameReader
from application.sweep import Sweep
from application.upload_sessions import SessionCleaning
from application.webhook_post import WebhookPost
from domain.errors import Misconfigured
from domain.frame_record import FrameRecord
from projections.accounts import AccountsProjection
from projections.audit.projection import AuditProjection
from projections.audit.queries import AuditIndex
from projections.facets.projection import FacetsProjection
from projections.frames.projection import FramesProjection
from projections.groups import GroupsProjection
from projections.lookups import ReadModelLookups
from projections.mail_notices import MailNoticesProjection
from projections.observations import ObservationsProjection
from projections.projection import Projection
from projections.runner import ProjectionRunner, create_missing
from projections.storage_configs import StorageConfigsProjection
from projections.transfers import TransfersProjection
from projections.versions import fit
from projections.webhook_queries import NoticeLookups
from projections.webhooks import WebhooksProjection


class Core(msgspec.Struct, frozen=True, kw_only=True):
    """What every process of Starferry has."""

    settings: Settings
    conninfo: str
    pool: ConnectionPool
    clock: SystemClock
    sky: SphericalSky
    log: PostgresEventLog
    numbers: BlockNumbers
    store: FileStore
    vault: PostgresVault
    passwords: PostgresPasswords
    sessions: PostgresSessions
    portal: HttpPortal | None
    jobs: PostgresJobs
    limits: PostgresLimits
    lookups: ReadModelLookups
    notice_lookups: NoticeLookups
    webhook_sender: HttpWebhookSender
    destinations: Destinations
    consents: Consents
    links: Links
    fits: FitsSettings
    thumbnail_links: Links

    @property
    def reader(self) -> FrameReader:
        """Reads FITS files. Loaded when first used: astropy is a third of a process's memory."""
        return frame_reader(self.settings)

    def unpacked(self, source: BinaryIO, size: int, filename: str) -> Content:
        """A packed FITS file of `size` bytes, unpacked. Raises what UnpackedFile does."""
        from adapters.fits.unpacking import UnpackedFile  # astropy again

        return UnpackedFile(source, size, filename, max_bytes=self.settings["STARFERRY_MAX_FRAME_BYTES"])

    def catalogue(self, source: BinaryIO, size: int, filename: str) -> Content:
        """The catalogue of a reduced frame's file of `size` bytes. Raises what Catalogue does."""
        from adapters.fits.catalogues import Catalogue  # astropy again

        return Catalogue(source, size, filename, max_bytes=self.settings["STARFERRY_MAX_FRAME_BYTES"])

    def record_path(self, record: FrameRecord, extension: str, headers: msgspec.Raw) -> str:
        """Where the file store keeps the file of a record that another program has stored."""
        return stored_path(record, extension, headers, self.fits.file_kinds)

    def thumbnail_path(self, record: FrameRecord, filename: str) -> str:
        """The same for a thumbnail."""
        return stored_thumbnail_path(record, filename)

    def projections(self) -> list[Projection]:
        """All read models."""
        return read_models(self.sky)

    def policies(self) -> list[Policy | Effect]:
        """All that reacts to events."""
        return [
            DeliverToDestinations(self.log, self.lookups),
            CompleteCalibrations(self.log, self.lookups),
            DeliverStandingQueries(self.log, FrameMatcher(self.sky)),
            DeleteWhenAllDelivered(self.log),
            ReconsiderDeletions(self.log, self.lookups, self.clock),
            FollowDestination(self.log, self.lookups),
            NudgeWorkers(self.jobs, self.log),
            RemoveDeletedFiles(self.store, self.log, self.clock),
            CancelTransfersOfDeletedFrames(self.log, self.lookups),
        ]

    def projection_runner(self) -> ProjectionRunner:
        """What keeps the read models up to date."""
        return ProjectionRunner(self.conninfo, self.log, self.projections(), lock_session)

    def policy_engine(self) -> PolicyEngine:
        """What drives the policies."""
        dead_letters = PostgresDeadLetters(self.log.datastore)
        runners = [PolicyRunner(policy, self.log, self.clock, dead_letters) for policy in self.policies()]
        return PolicyEngine(runners, self.log)

    def outbox_engine(self) -> PolicyEngine | None:
        """What tells the broker of archived frames, apart from the other policies so that it never holds them up. None
        without a broker; its position waits then."""
        url, enabled = self.settings["QUEUE_BROKER_URL"], self.settings["PROCESSED_EXCHANGE_ENABLED"]
        if not url or not enabled:
            return None
        from adapters.broker.publisher import ExchangePublisher  # kombu is only loaded by those who use it

        broker = ExchangePublisher(url, self.settings["PROCESSED_EXCHANGE_NAME"])
        policy = PublishArchived(broker, self.settings["STARFERRY_ARCHIVED_AREA"])
        runner = PolicyRunner(policy, self.log, self.clock, PostgresDeadLetters(self.log.datastore))
        return PolicyEngine([runner], self.log, batch=BLOCK)

    def notice_engine(self) -> PolicyEngine:
        """What notes whom to tell of what, apart from the other policies: it waits for the read models."""
        deliveries = PostgresDeliveries(self.pool)
        effects: list[Effect] = [NotifyWebhooks(self.log, self.notice_lookups, deliveries, self.jobs, self.clock)]
        if self.settings["STARFERRY_SMTP_URL"]:
            effects.append(NotifyByMail(self.log, self.notice_lookups, self.digests(), self.jobs, self.clock))
        dead_letters = PostgresDeadLetters(self.log.datastore)
        return PolicyEngine([PolicyRunner(effect, self.log, self.clock, dead_letters) for effect in effects], self.log)

    def send_notice(self, notice: str) -> None:
        """Send a webhook's delivery or a mail, if it is due."""
        if not notice.startswith(PREFIX):
            self.webhook_post().deliver(notice)
        elif mail := self.mail_post():
            mail.send(notice)

    def sweep_notices(self) -> int:
        """Find what is to be sent and has no job."""
        mail = self.mail_post()
        return self.webhook_post().sweep() + (mail.sweep() if mail else 0)

    def digests(self) -> PostgresDigests:
        """Where failures gather for mails."""
        gather, pause = self.settings["STARFERRY_MAIL_GATHER_SECONDS"], self.settings["STARFERRY_MAIL_PAUSE_SECONDS"]
        return PostgresDigests(self.pool, gather=timedelta(seconds=gather), pause=timedelta(seconds=pause))

    def mail_post(self) -> MailPost | None:
        """What sends mail; None without a mail server."""
        server, sender = self.settings["STARFERRY_SMTP_URL"], self.settings["STARFERRY_MAIL_FROM"]
        if not server:
            return None
        return MailPost(
            log=self.log,
            vault=self.vault,
            book=self.digests(),
            mailer=SmtpMailer(server, sender),
            jobs=self.jobs,
            clock=self.clock,
            address=self.settings["STARFERRY_PUBLIC_URL"],
        )

    def webhook_post(self) -> WebhookPost:
        """What sends webhooks."""
        return WebhookPost(
            log=self.log,
            vault=self.vault,
            book=PostgresDeliveries(self.pool),
            sender=self.webhook_sender,
            jobs=self.jobs,
            clock=self.clock,
            schedule=self.settings["STARFERRY_WEBHOOK_SCHEDULE"],
        )

    def event_search(self) -> EventSearch:
        """What finds events by what surrounds them."""
        return EventSearch(self.log, AuditIndex(self.pool))

    def wakeup(self) -> Wakeup:
        """What tells the two above that the log has grown."""
        return Wakeup(self.conninfo)

    def sealer(self) -> Sealer:
        """What seals the log now and then."""
        return Sealer(self.conninfo)

    def ferry(self, worker: str) -> Ferry:
        """What carries transfers, in the name of `worker`."""
        return Ferry(
            log=self.log,
            store=self.store,
            vault=self.vault,
            clock=self.clock,
            open_destination=self.destinations,
            limits=self.limits,
            hash_file=hash_file,
            worker=worker,
            schedule=self.settings["STARFERRY_RETRY_SCHEDULE"],
            tell_progress=ProgressNotices(self.pool),
        )

    def session_cleaning(self) -> SessionCleaning:
        """What forgets where uploads stood that are over."""
        return SessionCleaning(log=self.log, lookup=self.lookups, vault=self.vault, open_destination=self.destinations)

    def secret_cleaning(self) -> SecretCleaning:
        """What destroys secrets that nobody needs any more."""
        return SecretCleaning(log=self.log, lookup=self.lookups, vault=self.vault, clock=self.clock)

    def sweep(self) -> Sweep:
        """What looks for the stuck."""
        return Sweep(
            log=self.log,
            lookup=self.lookups,
            workers=PostgresWorkers(self.conninfo),
            jobs=self.jobs,
            clock=self.clock,
        )


def read_models(sky: SphericalSky) -> list[Projection]:
    """All read models."""
    return [
        FramesProjection(sky),
        FacetsProjection(),
        ObservationsProjection(),
        StorageConfigsProjection(),
        TransfersProjection(),
        AccountsProjection(),
        GroupsProjection(),
        WebhooksProjection(),
        MailNoticesProjection(),
        AuditProjection(),
    ]


@contextmanager
def open_core(settings: Settings, conninfo: str, *, serving: bool = False, any_version: bool = False) -> Iterator[Core]:
    """Everything, wired to a database that is up to date. Raises Misconfigured.

    Read models must be of this program's versions. One that is `serving` swaps in those that are ready; with
    `any_version` they may be of others, or not be there, for what has to do with that.
    """
    clock = SystemClock()
    if settings["STARFERRY_SMTP_URL"] and not settings["STARFERRY_MAIL_FROM"]:
        raise Misconfigured("STARFERRY_SMTP_URL is set, so STARFERRY_MAIL_FROM must be: the address mail comes from.")
    fits = FitsSettings.from_environment(settings.environment)  # what can't be right stops the start
    pool = ConnectionPool(conninfo, min_size=1, max_size=8, kwargs={"autocommit": True}, open=False)
    pool.open()
    log = PostgresEventLog(conninfo)
    jobs = PostgresJobs(conninfo, pool)
    vault = PostgresVault(pool, open_keyring(settings["STARFERRY_MASTER_KEYS"], settings.data))
    endpoints = Endpoints(
        google_cloud_storage=settings["STARFERRY_GCS_URL"],
        dropbox=settings["STARFERRY_DROPBOX_URL"],
        google_drive=settings["STARFERRY_GOOGLE_DRIVE_URL"],
        google_oauth=settings["STARFERRY_GOOGLE_OAUTH_URL"],
    )
    core = Core(
        settings=settings,
        conninfo=conninfo,
        pool=pool,
        clock=clock,
        sky=SphericalSky(),
        log=log,
        numbers=BlockNumbers(log.datastore),
        store=open_store(settings, clock),
        vault=vault,
        passwords=PostgresPasswords(pool),
        sessions=PostgresSessions(pool),
        portal=open_portal(settings),
        jobs=jobs,
        limits=PostgresLimits(conninfo, pool, places_for(settings["STARFERRY_WORKERS"])),
        lookups=ReadModelLookups(pool),
        notice_lookups=NoticeLookups(pool),
        webhook_sender=HttpWebhookSender(settings["STARFERRY_WEBHOOK_ALLOW"]),
        destinations=Destinations(
            settings["STARFERRY_FOLDER_ROOTS"], PostgresFolderIds(pool), endpoints, settings["STARFERRY_S3_NETWORKS"]
        ),
        consents=Consents(endpoints),
        links=Links(link_key(settings)),
        fits=fits,
        thumbnail_links=Links(hashlib.sha256(b"thumbnails:" + link_key(settings)).digest()),  # open no version
    )
    try:
        vault.check()
        if settings["QUEUE_BROKER_URL"] and settings["PROCESSED_EXCHANGE_ENABLED"]:
            log.enter(checkpoint_of(PublishArchived.name))  # what was archived before there was a broker is no news
        if not any_version:
            with psycopg.connect(conninfo, autocommit=True) as connection:
                create_missing(connection, core.projections())
            fit(conninfo, log, core.projections(), swap=serving)
        yield core
    finally:
        core.limits.close()
        jobs.close()
        log.close()
        pool.close()
