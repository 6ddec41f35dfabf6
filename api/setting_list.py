"""Every setting there is: its name, its default, and what it means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from adapters.mail.smtp import parse_smtp
from adapters.webhooks.addresses import parse_allowed
from api.client_address import parse_networks
from api.rates import parse_rate
from api.setting_values import (
    broker_url,
    code_length,
    days,
    days_or_never,
    http_folder,
    interval,
    loopback_url,
    mail_address,
    not_negative,
    one_of,
    paths,
    positive,
    rules,
    seconds,
    text,
    truth,
    web_url,
    word,
    words,
)


class Setting(msgspec.Struct, frozen=True):
    """One setting: its name, default, what it means, and how its text becomes a value."""

    name: str
    default: str
    meaning: str
    parse: Callable[[str], Any] = text
    secret: bool = False


CONFIGURATION_TYPES = "BIAS,DARK,EXPOSE,SPECTRUM,LAMPFLAT,SKYFLAT,STANDARD,TRAILED,GUIDE,EXPERIMENTAL,CATALOG"
SETTINGS = {
    setting.name: setting
    for setting in (
        Setting(
            "DATABASE_URL", "", "PostgreSQL 14 or later; empty: the embedded one, or DB_HOST and its kin", text, True
        ),
        Setting("DB_HOST", "", "the same in OCS's words"),
        Setting("DB_HOST_READER", "", "a streaming replica that answers questions about frames; empty: none"),
        Setting("DB_PORT", "5432", "port of DB_HOST", positive),
        Setting("DB_NAME", "archive", "database at DB_HOST"),
        Setting("DB_USER", "postgres", "user at DB_HOST"),
        Setting("DB_PASS", "postgres", "password at DB_HOST", text, True),
        Setting("SECRET_KEY", "", "signs links; empty: a random one kept in the data folder", text, True),
        Setting("CONFIGURATION_TYPES", CONFIGURATION_TYPES, "accepted configuration types", words),
        Setting("CONFIGDB_URL", "", "ConfigDB to ask for configuration types instead", lambda v: v.rstrip("/")),
        Setting("SCIENCE_CONFIGURATION_TYPES", "EXPOSE,TARGET,SPECTRUM,CATALOG,OBJECT", "not calibrations", words),
        Setting("THUMBNAIL_SIZE_CHOICES", "small,medium,large", "accepted sizes of thumbnails", words),
        Setting("PAGINATION_DEFAULT_LIMIT", "100", "rows of a page", positive),
        Setting("PAGINATION_MAX_LIMIT", "1000", "most rows of a page", positive),
        Setting("FILESTORE_TYPE", "local", "where files are kept", one_of("local", "s3", "dummy")),
        Setting("FILESYSTEM_STORAGE_ROOT_DIR", "", "folder of the local store; empty: `files` in the data folder"),
        Setting(
            "FILESYSTEM_STORAGE_BASE_URL",
            "",
            "where another server offers the local store's folder: links lead there; empty: the API serves the files",
            http_folder,
        ),
        Setting("BUCKET", "", "bucket of the s3 store"),
        Setting("AWS_ACCESS_KEY_ID", "", "access key of the s3 store", text, True),
        Setting("AWS_SECRET_ACCESS_KEY", "", "secret key of the s3 store", text, True),
        Setting("AWS_DEFAULT_REGION", "", "region of the s3 store"),
        Setting("S3_ENDPOINT_URL", "", "endpoint of the s3 store; empty: AWS"),
        Setting("S3_SIGNATURE_VERSION", "s3v4", "signature of the s3 store"),
        Setting("S3_ADDRESSING_STYLE", "virtual", "addressing of the s3 store", one_of("virtual", "path", "auto")),
        Setting("S3_DAYS_TO_IA_STORAGE", "60", "days until infrequent-access storage, or `off`", days),
        Setting("ZIP_DOWNLOAD_FILENAME_BASE", "ocs_archive_data", "what the names of zip downloads begin with", word),
        Setting("ZIP_DOWNLOAD_MAX_UNCOMPRESSED_FILES", "10", "most frames of a zip download with uncompress", positive),
        Setting(
            "STARFERRY_ZIP_MODE",
            "stream",
            "how zip downloads are made: by the API, or as a manifest for nginx with mod_zip",
            one_of("stream", "manifest"),
        ),
        Setting(
            "STARFERRY_DOWNLOADS",
            "redirect",
            "whether downloads from the s3 store are redirected to it or served by the API",
            one_of("redirect", "serve"),
        ),
        Setting("OAUTH_PROFILE_URL", "", "the portal's profiles, such as https://…/api/profile/; empty: none", web_url),
        Setting("OAUTH_TOKEN_URL", "", "where the portal takes passwords, such as https://…/o/token/", web_url),
        Setting("OAUTH_CLIENT_ID", "", "our name at the portal's token endpoint"),
        Setting("OAUTH_CLIENT_SECRET", "", "our secret at the portal's token endpoint", text, True),
        Setting("OAUTH_SERVER_KEY", "", "what the portal pushes users with; empty: it may not", text, True),
        Setting("OBSERVATION_PORTAL_BASE_URL", "", "the portal whose proposal tags decide on public dates", web_url),
        Setting("OBSERVATION_PORTAL_API_TOKEN", "", "our token for these tags", text, True),
        Setting(
            "STARFERRY_THROTTLE_ANONYMOUS", "1000/day", "requests of an address: N/second … N/day, off", parse_rate
        ),
        Setting("STARFERRY_THROTTLE_USER", "50000/day", "requests of a user: N/second … N/day, or off", parse_rate),
        Setting(
            "STARFERRY_TRUSTED_PROXIES",
            "127.0.0.0/8,::1",
            "addresses and networks whose X-Forwarded-For and X-Forwarded-Proto are believed",
            parse_networks,
        ),
        Setting(
            "QUEUE_BROKER_URL", "", "message broker, `amqp://user:password@host/vhost`; empty: none", broker_url, True
        ),
        Setting("PROCESSED_EXCHANGE_ENABLED", "True", "whether the broker is told of archived frames", truth),
        Setting("PROCESSED_EXCHANGE_NAME", "archived_fits", "the fanout exchange that is told of archived frames"),
        Setting("INGESTER_PROCESS_NAME", "ingester", "the tag `ingester_process_name` of the ingest metrics"),
        Setting("STARFERRY_DATA", "./data", "folder for everything that is kept on this machine"),
        Setting(
            "STARFERRY_PUBLIC_URL", "", "how clients reach the API; empty: as the request says", lambda v: v.rstrip("/")
        ),
        Setting(
            "STARFERRY_MASTER_KEYS", "", "master keys `id:base64,…`; empty: a key file in the data folder", text, True
        ),
        Setting(
            "STARFERRY_FOLDER_ROOTS", "", "absolute paths that folder destinations may use, separated by `:`", paths
        ),
        Setting(
            "STARFERRY_S3_NETWORKS",
            "",
            "addresses and networks where endpoints of s3 destinations may be though not public, also without TLS",
            parse_networks,
        ),
        Setting("STARFERRY_RETRY_SCHEDULE", "300,600,1200", "seconds to wait after each failure", seconds),
        Setting(
            "STARFERRY_WORKERS",
            "4",
            "transfers to one destination that a worker process carries at a time; twice as many to all together",
            positive,
        ),
        Setting(
            "STARFERRY_API_PROCESSES",
            "1",
            "API processes of `starferry up`, on one port; one for each core that requests may use",
            positive,
        ),
        Setting("STARFERRY_SWEEP_SECONDS", "60", "how often a worker looks for what got stuck; at most 600", interval),
        Setting(
            "STARFERRY_TRANSFER_DAYS",
            "90",
            "days until the record of a completed transfer leaves the lists (its events stay); empty: never",
            days_or_never,
        ),
        Setting("STARFERRY_SITE_ID_LENGTH", "3", "most characters of a record's site code, at most 200", code_length),
        Setting(
            "STARFERRY_TELESCOPE_ID_LENGTH",
            "4",
            "most characters of a record's telescope code, at most 200",
            code_length,
        ),
        Setting("STARFERRY_MAX_FRAME_BYTES", str(16 << 30), "most bytes of a file, also unpacked", positive),
        Setting("GUIDE_CAMERAS_TO_PERSIST", "", "cameras whose guide frames are never expired", words),
        Setting("STARFERRY_GUIDE_DAYS", "", "days until other guide frames are deleted; empty: never", days_or_never),
        Setting(
            "STARFERRY_RETENTION",
            "",
            "retention rules, each with a name of its own, days and a selector: docs/operating.md",
            rules,
        ),
        Setting(
            "STARFERRY_ARCHIVED_AREA",
            "string",
            "how messages of archived frames hold the footprint: as text (OCS 2.4 on), or as GeoJSON object",
            one_of("string", "object"),
        ),
        Setting("STARFERRY_INGEST_QUEUE", "starferry_ingest", "queue of the files that `starferry listen` ingests"),
        Setting("STARFERRY_INGEST_EXCHANGE", "", "fanout exchange that this queue is bound to; empty: none"),
        Setting(
            "STARFERRY_INGEST_ROOTS", "", "absolute paths below which messages may name files, separated by `:`", paths
        ),
        Setting(
            "STARFERRY_INGEST_SCHEDULE",
            "5,30,120,600,1800,3600",
            "seconds until a file that can't be ingested now is tried again; then it is a dead letter",
            seconds,
        ),
        Setting(
            "STARFERRY_WEBHOOK_ALLOW",
            "",
            "hosts, addresses and networks, separated by commas, that webhooks may reach besides public addresses",
            parse_allowed,
        ),
        Setting(
            "STARFERRY_WEBHOOK_SCHEDULE",
            "10,60,300,1800,7200,21600",
            "seconds until a webhook that wasn't taken in is sent again; then it is given up",
            seconds,
        ),
        Setting(
            "STARFERRY_SMTP_URL",
            "",
            "mail server, `smtp://user:password@host:587` or `smtps://…`; empty: no mail is sent",
            parse_smtp,
            True,
        ),
        Setting("STARFERRY_MAIL_FROM", "", "the address that mail comes from", mail_address),
        Setting(
            "STARFERRY_MAIL_GATHER_SECONDS", "60", "how long failures gather before a mail tells of them", not_negative
        ),
        Setting(
            "STARFERRY_MAIL_PAUSE_SECONDS",
            "3600",
            "least time between two mails to one user about one destination",
            not_negative,
        ),
        Setting("STARFERRY_TOKEN", "", "token for `starferry ingest --api-root`", text, True),
        Setting("STARFERRY_IMPORT_DATABASE", "", "the original's database, for `starferry import-ocs`", text, True),
        Setting("STARFERRY_IMPORT_TOKEN", "", "token for `starferry import-ocs --api-root`", text, True),
        Setting(
            "STARFERRY_LOG_LEVEL", "info", "least level that is logged", one_of("debug", "info", "warning", "error")
        ),
        Setting("STARFERRY_DROPBOX_URL", "", "send the Dropbox SDK here (loopback, for tests)", loopback_url),
        Setting("STARFERRY_GOOGLE_DRIVE_URL", "", "send the Drive SDK here (loopback, for tests)", loopback_url),
        Setting("STARFERRY_GCS_URL", "", "send the Cloud Storage SDK here (loopback, for tests)", loopback_url),
        Setting("STARFERRY_GOOGLE_OAUTH_URL", "", "send Google sign-in here (loopback, for tests)", loopback_url),
        Setting("STARFERRY_CONFIG", "", "a TOML file with any of these settings"),
    )
}
