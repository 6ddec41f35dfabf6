"""Which adapter serves which provider, and what its options must look like. An SDK is loaded when it is first used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

import msgspec

from adapters.destinations import gcs_options, s3_options
from adapters.destinations.app_options import check_app
from adapters.destinations.folder import FolderDestination
from adapters.destinations.folder_ids import FolderIds
from adapters.destinations.shared_accounts import SharedAccounts
from adapters.public_internet import Network
from application.ports.destination import Destination
from domain.errors import InvalidInput
from domain.storage_configs import Provider, StorageConfig

if TYPE_CHECKING:
    from adapters.destinations.dropbox_account import DropboxAccount
    from adapters.destinations.gcs_connections import IdleConnections
    from adapters.destinations.google_drive_account import DriveAccount
    from adapters.destinations.s3_account import S3Account


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Where to send the SDKs instead of the providers, on loopback, for tests; empty: the providers."""

    google_cloud_storage: str = ""
    dropbox: str = ""
    google_drive: str = ""
    google_oauth: str = ""


class Destinations:
    """Implements OpenDestination. `s3_networks` are those where S3 endpoints may be though they aren't public."""

    def __init__(
        self,
        folder_roots: Sequence[Path],
        folder_ids: FolderIds,
        endpoints: Endpoints,
        s3_networks: Sequence[Network] = (),
    ) -> None:
        self._folder_roots = tuple(folder_roots)
        self._folder_ids = folder_ids
        self._endpoints = endpoints
        self._s3_networks = tuple(s3_networks)

    @contextmanager
    def __call__(self, config: StorageConfig, secrets: Mapping[str, str]) -> Iterator[Destination]:
        """See OpenDestination."""
        destination = self._open(config, secrets)
        try:
            yield destination
        finally:
            destination.close()

    def check(self, provider: Provider, options: Mapping[str, str], secrets: Mapping[str, str]) -> None:
        """See OpenDestination."""
        match provider:
            case "folder":
                self._allowed_root(options["root"])
            case "google_cloud_storage":
                gcs_options.check_options(options, secrets)
            case "dropbox":
                check_app(("app_key", "app_secret"), {**options, **secrets})
            case "google_drive":
                check_app(("client_id", "client_secret"), {**options, **secrets})
            case "s3":
                s3_options.check_options(options, secrets, self._s3_networks)
            case _:
                assert_never(provider)

    def _open(self, config: StorageConfig, secrets: Mapping[str, str]) -> Destination:
        folder = config.settings.destination_path
        refresh_token = secrets.get("refresh_token", "")
        match config.provider:
            case "folder":
                return FolderDestination(Path(config.options["root"]), self._folder_roots, probe_folder=folder)
            case "google_cloud_storage":
                from adapters.destinations.google_cloud_storage import GcsDestination

                return GcsDestination(
                    config.options["bucket"],
                    gcs_options.service_account(secrets.get("service_account_json", "")),
                    self._endpoints.google_cloud_storage or None,
                    probe_folder=folder,
                    connections=self._gcs_connections,
                )
            case "dropbox":
                from adapters.destinations.dropbox import DropboxDestination

                account = self._dropbox_accounts.of(
                    config.id, config.options["app_key"], secrets.get("app_secret", ""), refresh_token
                )
                return DropboxDestination(account, probe_folder=folder)
            case "google_drive":
                from adapters.destinations.google_drive import DriveDestination

                drive = self._drive_accounts.of(
                    config.id, config.options["client_id"], secrets.get("client_secret", ""), refresh_token
                )
                return DriveDestination(drive, self._folder_ids, config.id, probe_folder=folder)
            case "s3":
                from adapters.destinations.s3 import S3Destination

                service = self._s3_accounts.of(
                    config.id,
                    config.options.get("endpoint", ""),
                    config.options.get("region", ""),
                    secrets.get("access_key", ""),
                    secrets.get("secret_key", ""),
                )
                return S3Destination(service, config.options["bucket"], probe_folder=folder)
        assert_never(config.provider)

    @cached_property
    def _gcs_connections(self) -> IdleConnections:
        from adapters.destinations.gcs_connections import IdleConnections

        return IdleConnections()

    @cached_property
    def _dropbox_accounts(self) -> SharedAccounts[DropboxAccount]:
        from adapters.destinations.dropbox_account import DropboxAccount

        base = self._endpoints.dropbox or None
        return SharedAccounts(lambda key, secret, token: DropboxAccount(key, secret, token, base))

    @cached_property
    def _drive_accounts(self) -> SharedAccounts[DriveAccount]:
        from adapters.destinations.google_drive_account import DriveAccount

        base, oauth = self._endpoints.google_drive or None, self._endpoints.google_oauth or None
        return SharedAccounts(lambda client, secret, token: DriveAccount(client, secret, token, base, oauth))

    @cached_property
    def _s3_accounts(self) -> SharedAccounts[S3Account]:
        from adapters.destinations.s3_account import S3Account

        networks = self._s3_networks
        return SharedAccounts(lambda at, region, key, secret: S3Account(at, region, key, secret, networks))

    def _allowed_root(self, root: str) -> None:
        path = Path(root)
        if not path.is_absolute():
            raise InvalidInput("The root of a folder destination is an absolute path.", field="credentials")
        if not self._is_allowed(path):  # judged first: nobody learns which other folders this server has
            raise InvalidInput(
                "This folder isn't below a root that the operator allows (STARFERRY_FOLDER_ROOTS).", field="credentials"
            )
        if not _is_folder(path):
            raise InvalidInput(f"There is no folder {root} on this server.", field="credentials")

    def _is_allowed(self, path: Path) -> bool:
        try:
            resolved = path.resolve()
        except (OSError, RuntimeError, ValueError):  # links that go round, a NUL, what only others may look into
            return False
        return any(resolved.is_relative_to(allowed.resolve()) for allowed in self._folder_roots)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that is too long for any file system
        return False
