"""What can be set, by environment variables or a TOML file, and where each value in force comes from.

An unknown STARFERRY_ name, or a value that can't be right, stops the start with a sentence that names it.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from adapters.fits.settings import FitsSettings
from adapters.mail.smtp import parse_smtp
from adapters.webhooks.addresses import parse_allowed
from api.client_address import parse_networks
from api.ocs_names import HEADER_RULES, WITHOUT_EFFECT
from api.rates import parse_rate
from domain.errors import Misconfigured
from domain.mail_notices import ADDRESS
from domain.retention import GUIDE_RULE, RetentionRule


def _days(value: str) -> int | None:
    return None if value == "off" else int(value)


def _text(value: str) -> str:
    return value


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise ValueError
    return number


def _code_length(value: str) -> int:
    """The codes of sites and telescopes are parts of paths and are indexed."""
    number = _positive(value)
    if number > 200:
        raise ValueError
    return number


def _seconds(value: str) -> tuple[float, ...]:
    schedule = tuple(float(part) for part in value.split(",") if part.strip())
    if any(wait < 0 for wait in schedule):
        raise ValueError
    return schedule


def _paths(value: str) -> tuple[Path, ...]:
    paths = tuple(Path(part) for part in value.split(":") if part)
    if any(not path.is_absolute() for path in paths):
        raise ValueError
    return paths


def _days_or_never(value: str) -> int | None:
    return _positive(value) if value else None


def _rules(value: str) -> tuple[RetentionRule, ...]:
    try:
        rules = msgspec.json.decode(value, type=tuple[RetentionRule, ...]) if value else ()
    except msgspec.MsgspecError as error:
        raise ValueError from error
    if len({rule.name for rule in rules}) < len(rules) or any(rule.name == GUIDE_RULE for rule in rules):
        raise ValueError
    return rules


def _words(value: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",") if word.strip())


def _word(value: str) -> str:
    """A part of a file name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value):
        raise ValueError
    return value


def _http_folder(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
        raise ValueError
    return f"{value.rstrip('/')}/" if value else ""


def _loopback_url(value: str) -> str:
    """Only loopback: these send credentials to whoever answers there."""
    parts = urlsplit(value)
    host = parts.hostname or ""
    if value and (parts.scheme not in ("http", "https") or not (host == "localhost" or ip_address(host).is_loopback)):
        raise ValueError
    return value.rstrip("/")


def _web_url(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.username):
        raise ValueError
    return value


def _truth(value: str) -> bool:
    """OCS reads Python literals."""
    truths = {"true": True, "1": True, "false": False, "0": False, "": False}
    if value.strip().lower() not in truths:
        raise ValueError
    return truths[value.strip().lower()]


def _broker_url(value: str) -> str:
    """AMQP only; what OCS calls `memory://localhost` is none."""
    url = value.strip()
    if url.startswith("memory://"):
        return ""
    if url and (urlsplit(url).scheme not in ("amqp", "amqps", "pyamqp") or not urlsplit(url).hostname):
        raise ValueError
    return url


def _mail_address(value: str) -> str:
    if value and not ADDRESS.fullmatch(value):
        raise ValueError
    return value


def _not_negative(value: str) -> float:
    number = float(value)
    if not 0 <= number < 1e9:
        raise ValueError
    return number


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError
        return value

    return parse


class Setting(msgspec.Struct, frozen=True):
    """One setting: its name, default, what it means, and how its text becomes a value."""

    name: str
    default: str
    meaning: str
    parse: Callable[[str], Any] = _text
    secret: bool = False


CONFIGURATION_TYPES = "BIAS,DARK,EXPOSE,SPECTRUM,LAMPFLAT,SKYFLAT,STANDARD,TRAILED,GUIDE,EXPERIMENTAL,CATALOG"
SETTINGS = {
    setting.name: setting
    for setting in (
        Setting(
            "DATABASE_URL", "", "PostgreSQL 14 or later; empty: the embedded one, or DB_HOST and its kin", _text, True
        ),
        Setting("DB_HOST", "", "the same in OCS's words"),
        Setting("DB_HOST_READER", "", "a streaming replica that answers questions about frames; empty: none"),
        Setting("DB_PORT", "5432", "port of DB_HOST", _positive),
        Setting("DB_NAME", "archive", "database at DB_HOST"),
        Setting("DB_USER", "postgres", "user at DB_HOST"),
        Setting("DB_PASS", "postgres", "password at DB_HOST", _text, True),
        Setting("SECRET_KEY", "", "signs links; empty: a random one kept in the data folder", _text, True),
        Setting("CONFIGURATION_TYPES", CONFIGURATION_TYPES, "accepted configuration types", _words),
        Setting("CONFIGDB_URL", "", "ConfigDB to ask for configuration types instead", lambda v: v.rstrip("/")),
        Setting("SCIENCE_CONFIGURATION_TYPES", "EXPOSE,TARGET,SPECTRUM,CATALOG,OBJECT", "not calibrations", _words),
        Setting("THUMBNAIL_SIZE_CHOICES", "small,medium,large", "accepted sizes of thumbnails", _words),
        Setting("PAGINATION_DEFAULT_LIMIT", "100", "rows of a page", _positive),
        Setting("PAGINATION_MAX_LIMIT", "1000", "most rows of a page", _positive),
        Setting("FILESTORE_TYPE", "local", "where files are kept", _one_of("local", "s3", "dummy")),
        Setting("FILESYSTEM_STORAGE_ROOT_DIR", "", "folder of the local store; empty: `files` in the data folder"),
        Setting(
            "FILESYSTEM_STORAGE_BASE_URL",
            "",
            "where another server offers the local store's folder: links lead there; empty: the API serves the files",
            _http_folder,
        ),
        Setting("BUCKET", "", "bucket of the s3 store"),
        Setting("AWS_ACCESS_KEY_ID", "", "access key of the s3 store", _text, True),
        Setting("AWS_SECRET_ACCESS_KEY", "", "secret key of the s3 store", _text, True),
        Setting("AWS_DEFAULT_REGION", "", "region of the s3 store"),
        Setting("S3_ENDPOINT_URL", "", "endpoint of the s3 store; empty: AWS"),
        Setting("S3_SIGNATURE_VERSION", "s3v4", "signature of the s3 store"),
        Setting("S3_ADDRESSING_STYLE", "virtual", "addressing of the s3 store", _one_of("virtual", "path", "auto")),
        Setting("S3_DAYS_TO_IA_STORAGE", "60", "days until infrequent-access storage, or `off`", _days),
        Setting("ZIP_DOWNLOAD_FILENAME_BASE", "ocs_archive_data", "what the names of zip downloads begin with", _word),
        Setting(
            "ZIP_DOWNLOAD_MAX_UNCOMPRESSED_FILES", "10", "most frames of a zip download with uncompress", _positive
        ),
        Setting(
            "STARFERRY_ZIP_MODE",
            "stream",
            "how zip downloads are made: by the API, or as a manifest for nginx with mod_zip",
            _one_of("stream", "manifest"),
        ),
        Setting(
            "STARFERRY_DOWNLOADS",
            "redirect",
            "whether downloads from the s3 store are redirected to it or served by the API",
            _one_of("redirect", "serve"),
        ),
        Setting(
            "OAUTH_PROFILE_URL", "", "the portal's profiles, such as https://…/api/profile/; empty: none", _web_url
        ),
        Setting("OAUTH_TOKEN_URL", "", "where the portal takes passwords, such as https://…/o/token/", _web_url),
        Setting("OAUTH_CLIENT_ID", "", "our name at the portal's token endpoint"),
        Setting("OAUTH_CLIENT_SECRET", "", "our secret at the portal's token endpoint", _text, True),
        Setting("OAUTH_SERVER_KEY", "", "what the portal pushes users with; empty: it may not", _text, True),
        Setting("OBSERVATION_PORTAL_BASE_URL", "", "the portal whose proposal tags decide on public dates", _web_url),
        Setting("OBSERVATION_PORTAL_API_TOKEN", "", "our token for these tags", _text, True),
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
            "QUEUE_BROKER_URL", "", "message broker, `amqp://user:password@host/vhost`; empty: none", _broker_url, True
        ),
        Setting("PROCESSED_EXCHANGE_ENABLED", "True", "whether the broker is told of archived frames", _truth),
        Setting("PROCESSED_EXCHANGE_NAME", "archived_fits", "the fanout exchange that is told of archived frames"),
        Setting("INGESTER_PROCESS_NAME", "ingester", "the tag `ingester_process_name` of the ingest metrics"),
        Setting("STARFERRY_DATA", "./data", "folder for everything that is kept on this machine"),
        Setting(
            "STARFERRY_PUBLIC_URL", "", "how clients reach the API; empty: as the request says", lambda v: v.rstrip("/")
        ),
        Setting(
            "STARFERRY_MASTER_KEYS", "", "master keys `id:base64,…`; empty: a key file in the data folder", _text, True
        ),
        Setting(
            "STARFERRY_FOLDER_ROOTS", "", "absolute paths that folder destinations may use, separated by `:`", _paths
        ),
        Setting(
            "STARFERRY_S3_NETWORKS",
            "",
            "addresses and networks where endpoints of s3 destinations may be though not public, also without TLS",
            parse_networks,
        ),
        Setting("STARFERRY_RETRY_SCHEDULE", "300,600,1200", "seconds to wait after each failure", _seconds),
        Setting(
            "STARFERRY_WORKERS",
            "4",
            "transfers to one destination that a worker process carries at a time; twice as many to all together",
            _positive,
        ),
        Setting(
            "STARFERRY_API_PROCESSES",
            "1",
            "API processes of `starferry up`, on one port; one for each core that requests may use",
            _positive,
        ),
        Setting("STARFERRY_SWEEP_SECONDS", "60", "how often a worker looks for what got stuck", float),
        Setting(
            "STARFERRY_TRANSFER_DAYS",
            "90",
            "days until the record of a completed transfer leaves the lists (its events stay); empty: never",
            _days_or_never,
        ),
        Setting("STARFERRY_SITE_ID_LENGTH", "3", "most characters of a record's site code, at most 200", _code_length),
        Setting(
            "STARFERRY_TELESCOPE_ID_LENGTH",
            "4",
            "most characters of a record's telescope code, at most 200",
            _code_length,
        ),
        Setting("STARFERRY_MAX_FRAME_BYTES", str(16 << 30), "most bytes of a file, also unpacked", _positive),
        Setting("GUIDE_CAMERAS_TO_PERSIST", "", "cameras whose guide frames are never expired", _words),
        Setting("STARFERRY_GUIDE_DAYS", "", "days until other guide frames are deleted; empty: never", _days_or_never),
        Setting(
            "STARFERRY_RETENTION",
            "",
            "retention rules, each with a name of its own, days and a selector: docs/operating.md",
            _rules,
        ),
        Setting(
            "STARFERRY_ARCHIVED_AREA",
            "string",
            "how messages of archived frames hold the footprint: as text (OCS 2.4 on), or as GeoJSON object",
            _one_of("string", "object"),
        ),
        Setting("STARFERRY_INGEST_QUEUE", "starferry_ingest", "queue of the files that `starferry listen` ingests"),
        Setting("STARFERRY_INGEST_EXCHANGE", "", "fanout exchange that this queue is bound to; empty: none"),
        Setting(
            "STARFERRY_INGEST_ROOTS", "", "absolute paths below which messages may name files, separated by `:`", _paths
        ),
        Setting(
            "STARFERRY_INGEST_SCHEDULE",
            "5,30,120,600,1800,3600",
            "seconds until a file that can't be ingested now is tried again; then it is a dead letter",
            _seconds,
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
            _seconds,
        ),
        Setting(
            "STARFERRY_SMTP_URL",
            "",
            "mail server, `smtp://user:password@host:587` or `smtps://…`; empty: no mail is sent",
            parse_smtp,
            True,
        ),
        Setting("STARFERRY_MAIL_FROM", "", "the address that mail comes from", _mail_address),
        Setting(
            "STARFERRY_MAIL_GATHER_SECONDS", "60", "how long failures gather before a mail tells of them", _not_negative
        ),
        Setting(
            "STARFERRY_MAIL_PAUSE_SECONDS",
            "3600",
            "least time between two mails to one user about one destination",
            _not_negative,
        ),
        Setting("STARFERRY_TOKEN", "", "token for `starferry ingest --api-root`", _text, True),
        Setting("STARFERRY_IMPORT_DATABASE", "", "the original's database, for `starferry import-ocs`", _text, True),
        Setting("STARFERRY_IMPORT_TOKEN", "", "token for `starferry import-ocs --api-root`", _text, True),
        Setting(
            "STARFERRY_LOG_LEVEL", "info", "least level that is logged", _one_of("debug", "info", "warning", "error")
        ),
        Setting("STARFERRY_DROPBOX_URL", "", "send the Dropbox SDK here (loopback, for tests)", _loopback_url),
        Setting("STARFERRY_GOOGLE_DRIVE_URL", "", "send the Drive SDK here (loopback, for tests)", _loopback_url),
        Setting("STARFERRY_GCS_URL", "", "send the Cloud Storage SDK here (loopback, for tests)", _loopback_url),
        Setting("STARFERRY_GOOGLE_OAUTH_URL", "", "send Google sign-in here (loopback, for tests)", _loopback_url),
        Setting("STARFERRY_CONFIG", "", "a TOML file with any of these settings"),
    )
}


class Settings:
    """The settings in force. `settings["NAME"]` is a parsed value; `sources["NAME"]` says where it comes from."""

    def __init__(self, environment: Mapping[str, str] | None = None, *, data: Path | None = None) -> None:
        self._given = dict(os.environ if environment is None else environment)
        self.environment = self._given
        file = self._file()
        self.values: dict[str, Any] = {}
        self.sources: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self._refuse_unknown(self.environment, "the environment")
        self._refuse_unknown(file, "the configuration file")
        self.environment = {**file, **self.environment}
        for name, setting in SETTINGS.items():
            text, source = self.environment.get(name, setting.default), self._source(name)
            if name == "STARFERRY_DATA" and data is not None:
                text, source = str(data), "command line"
            try:
                self.values[name] = setting.parse(text)
            except ValueError:
                shown = "its value" if setting.secret else f"{text!r}"
                raise Misconfigured(f"{name} can't be {shown}: it is {setting.meaning}.") from None
            self.texts[name], self.sources[name] = text, source

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def data(self) -> Path:
        """The data folder, absolute."""
        return Path(self.values["STARFERRY_DATA"]).expanduser().absolute()

    @property
    def database_url(self) -> str:
        """Where PostgreSQL is, when it isn't the embedded one; else empty."""
        if self["DATABASE_URL"]:
            return str(self["DATABASE_URL"])
        if not self["DB_HOST"]:
            return ""
        user, password = quote(self["DB_USER"], safe=""), quote(self["DB_PASS"], safe="")
        return f"postgresql://{user}:{password}@{self['DB_HOST']}:{self['DB_PORT']}/{self['DB_NAME']}"

    def reader_conninfo(self, conninfo: str) -> str:
        """The replica of the database of `conninfo`, which differs in its host alone; empty when there is none."""
        host = self["DB_HOST_READER"]
        if not host or not self.database_url or host == conninfo_to_dict(conninfo).get("host"):
            return ""
        return make_conninfo(conninfo, host=host)

    def shown(self) -> list[tuple[str, str, str, str]]:
        """Name, value, source and meaning of every setting, secrets masked. Names of the OCS archive that are accepted
        without effect come last, with the reason for a meaning and no value: it may be a secret."""
        rows = []
        for name, setting in SETTINGS.items():
            text = self.texts[name]
            rows.append((name, "********" if setting.secret and text else text, self.sources[name], setting.meaning))
        for name, default in FitsSettings.variables().items():
            if name not in SETTINGS:
                source = self._source(name)
                rows.append((name, self.environment.get(name, default), source, HEADER_RULES.get(name, "header key")))
        for name, reason in WITHOUT_EFFECT.items():
            if name not in SETTINGS:
                rows.append((name, "", "no effect", reason))
        return rows

    def _source(self, name: str) -> str:
        if name in self._given:
            return "environment"
        return "file" if name in self.environment else "default"

    def _file(self) -> dict[str, str]:
        path = self.environment.get("STARFERRY_CONFIG", "")
        if not path:
            return {}
        try:
            loaded = tomllib.loads(Path(path).read_text())
        except OSError as error:
            raise Misconfigured(f"STARFERRY_CONFIG names {path}, which can't be read: {error.strerror}.") from error
        except tomllib.TOMLDecodeError as error:
            raise Misconfigured(f"The configuration file {path} isn't TOML: {error}.") from error
        return {
            name: msgspec.json.encode(value).decode() if isinstance(value, list | dict) else str(value)
            for name, value in loaded.items()
        }

    def _refuse_unknown(self, given: Mapping[str, str], where: str) -> None:
        for name in given:
            if name.startswith("STARFERRY_") and name not in SETTINGS:
                raise Misconfigured(f"{name} in {where} isn't a setting of Starferry; `starferry config` lists them.")
