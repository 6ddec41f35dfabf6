"""What the settings choose: the file store, the portal, what reads frames, and the key that signs links."""

from __future__ import annotations

import secrets as random_source
from functools import lru_cache
from pathlib import Path

from adapters.clock import SystemClock
from adapters.file_store.directory import DirectoryStore
from adapters.file_store.dummy import DummyStore
from adapters.fits.settings import FitsSettings
from adapters.portal.client import HttpPortal
from adapters.portal.exchange import PortalHttp
from adapters.portal.tags import PortalTags
from api.settings import Settings
from application.ports.file_store import FileStore
from application.ports.frame_reader import FrameReader


@lru_cache(maxsize=1)
def frame_reader(settings: Settings) -> FrameReader:
    """What reads FITS files."""
    from adapters.fits.reader import FitsReader

    base, token = settings["OBSERVATION_PORTAL_BASE_URL"], settings["OBSERVATION_PORTAL_API_TOKEN"]
    tags = PortalTags(PortalHttp(timeout=5.0, pause=30.0), base, token) if base else None
    return FitsReader(FitsSettings.from_environment(settings.environment), proposal_tags=tags)


def open_portal(settings: Settings) -> HttpPortal | None:
    """The observation portal; None without one."""
    if not settings["OAUTH_PROFILE_URL"]:
        return None
    return HttpPortal(
        PortalHttp(),
        profile_url=settings["OAUTH_PROFILE_URL"],
        token_url=settings["OAUTH_TOKEN_URL"],
        client_id=settings["OAUTH_CLIENT_ID"],
        secret=settings["OAUTH_CLIENT_SECRET"],
    )


def open_store(settings: Settings, clock: SystemClock) -> FileStore:
    """Where files are kept. Raises Misconfigured."""
    if settings["FILESTORE_TYPE"] == "local":
        root = settings["FILESYSTEM_STORAGE_ROOT_DIR"]
        return DirectoryStore(Path(root) if root else settings.data / "files", clock=clock)
    if settings["FILESTORE_TYPE"] == "dummy":
        return DummyStore(settings.data / "spool", clock=clock)
    from adapters.file_store.s3 import S3Store  # boto3 is only loaded by those who use it
    from adapters.file_store.s3_settings import S3Settings

    s3 = S3Settings(
        bucket=settings["BUCKET"],
        access_key=settings["AWS_ACCESS_KEY_ID"],
        secret_key=settings["AWS_SECRET_ACCESS_KEY"],
        region=settings["AWS_DEFAULT_REGION"],
        addressing_style=settings["S3_ADDRESSING_STYLE"],
        signature_version=settings["S3_SIGNATURE_VERSION"],
        days_to_ia=settings["S3_DAYS_TO_IA_STORAGE"],
        **({"endpoint": settings["S3_ENDPOINT_URL"]} if settings["S3_ENDPOINT_URL"] else {}),
    )
    store = S3Store(s3, spool=settings.data / "spool", clock=clock)
    store.check()
    return store


def link_key(settings: Settings) -> bytes:
    """What signs download links: SECRET_KEY, or 32 random bytes kept in the data folder."""
    if settings["SECRET_KEY"]:
        return str(settings["SECRET_KEY"]).encode()
    file = settings.data / "keys" / "links.key"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(f".{random_source.token_hex(4)}")
        fresh.touch(mode=0o600)
        fresh.write_bytes(random_source.token_bytes(32))
        try:
            file.hardlink_to(fresh)
        except FileExistsError:
            pass  # another process was first
        finally:
            fresh.unlink()
    return file.read_bytes()
