"""Which adapter serves which provider, and what its options must look like."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.destinations.folder import FolderDestination
from application.ports.destination import Destination
from domain.errors import GiveUp, InvalidInput
from domain.storage_configs import Provider, StorageConfig

if TYPE_CHECKING:
    from adapters.destinations.dropbox_accounts import DropboxAccounts
    from adapters.destinations.gcs_connections import IdleConnections

SERVED: frozenset[Provider] = frozenset({"folder", "google_cloud_storage", "dropbox"})


class Destinations:
    """Implements OpenDestination. The endpoints replace the providers', on loopback, for tests."""

    def __init__(self, folder_roots: Sequence[Path], *, gcs_endpoint: str = "", dropbox_endpoint: str = "") -> None:
        self._folder_roots = tuple(folder_roots)
        self._gcs_endpoint = gcs_endpoint or None
        self._dropbox_endpoint = dropbox_endpoint or None
        self._dropbox_accounts: DropboxAccounts | None = None
        self._gcs_connections: IdleConnections | None = None

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
        if provider not in SERVED:
            raise InvalidInput(f"Starferry can't deliver to {provider} yet.", field="provider")
        if provider == "google_cloud_storage":
            _service_account(secrets.get("service_account_json", ""))
        if provider == "folder":
            self._allowed_root(options["root"])

    def _open(self, config: StorageConfig, secrets: Mapping[str, str]) -> Destination:
        probe_folder = config.settings.destination_path
        match config.provider:
            case "folder":
                return FolderDestination(Path(config.options["root"]), self._folder_roots, probe_folder=probe_folder)
            case "google_cloud_storage":
                from adapters.destinations.gcs_connections import IdleConnections  # the SDK is large
                from adapters.destinations.google_cloud_storage import GcsDestination

                self._gcs_connections = self._gcs_connections or IdleConnections()
                return GcsDestination(
                    config.options["bucket"],
                    _service_account(secrets.get("service_account_json", "")),
                    self._gcs_endpoint,
                    probe_folder=probe_folder,
                    connections=self._gcs_connections,
                )
            case "dropbox":
                from adapters.destinations.dropbox import DropboxDestination  # the SDK is large
                from adapters.destinations.dropbox_accounts import DropboxAccounts

                self._dropbox_accounts = self._dropbox_accounts or DropboxAccounts(self._dropbox_endpoint)
                account = self._dropbox_accounts.of(
                    config.id,
                    app_key=config.options["app_key"],
                    app_secret=secrets.get("app_secret", ""),
                    refresh_token=secrets.get("refresh_token", ""),
                )
                return DropboxDestination(account, probe_folder=probe_folder)
            case _:
                raise GiveUp(f"This version of Starferry can't deliver to {config.provider}.")

    def _allowed_root(self, root: str) -> None:
        path = Path(root)
        if not path.is_absolute():
            raise InvalidInput("The root of a folder destination is an absolute path.", field="credentials")
        resolved = path.resolve()
        if not path.is_dir():
            raise InvalidInput(f"There is no folder {root} on this server.", field="credentials")
        if not any(resolved.is_relative_to(allowed.resolve()) for allowed in self._folder_roots):
            raise InvalidInput(
                "This folder isn't below a root that the operator allows (STARFERRY_FOLDER_ROOTS).", field="credentials"
            )


def _service_account(text: str) -> Mapping[str, Any]:
    try:
        account = json.loads(text)
    except ValueError:
        account = None
    if not isinstance(account, dict) or not {"client_email", "private_key"} <= account.keys():
        raise InvalidInput("service_account_json isn't the JSON key of a Google service account.", field="credentials")
    return account
