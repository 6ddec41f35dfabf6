"""When a file may be deleted from the server (S54): the only way to a SafeToDelete is through every copy's checksum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from domain.storage_configs import Content, StorageConfig
from domain.transfers import Transfer, transfer_id


class FileInQuestion(msgspec.Struct, frozen=True):
    """One version of a raw frame or of one of its calibrated files."""

    frame: str
    version_id: int
    content: Content


class SafeToDelete(msgspec.Struct, frozen=True):
    """A version that may go, with the completed transfers that justify it. Made by `safe_deletions` alone."""

    frame: str
    version_id: int
    justified_by: tuple[str, ...]


def safe_deletions(
    files: Iterable[FileInQuestion],
    destinations: Mapping[str, StorageConfig],
    transfers: Mapping[str, Transfer],
    *,
    expects_calibration: bool,
    beyond: Iterable[StorageConfig] = (),
) -> tuple[SafeToDelete, ...]:
    """The versions of one raw frame and its calibrated files that may be deleted now.

    `destinations` are the observation's selected configurations by id, `transfers` all transfers of these files by
    id. One copy that is wanted and not completed with an equal checksum, or a calibrated file that is still expected,
    keeps every file; so does a copy that was found missing or changed since (S60). Of the rest, those go that a
    destination asking for deletion has received. Nobody waits for cancelled transfers. Configurations `beyond` the
    selected ones get copies too: what was requested for them is among `transfers`, and one that takes calibrated files
    waits for one that is expected.
    """
    files = tuple(files)
    selected = _there(destinations.values())
    waiting = (*selected.values(), *_there(beyond).values())
    if expects_calibration and any(config.settings.wants("calibrated") for config in waiting):
        return ()
    for file in files:
        for config_id, config in selected.items():
            requested = transfers.get(transfer_id(file.version_id, config_id))
            if requested is None and config.settings.wants(file.content):
                return ()
    living = {name: transfer for name, transfer in transfers.items() if transfer.status != "cancelled"}
    if any(not transfer.delivered for transfer in living.values()):
        return ()
    safe = []
    for file in files:
        copies = {
            name: transfer
            for name, transfer in living.items()
            if transfer.request is not None and transfer.request.version_id == file.version_id
        }
        if any(transfer.request and transfer.request.delete_from_server for transfer in copies.values()):
            safe.append(SafeToDelete(file.frame, file.version_id, tuple(sorted(copies))))
    return tuple(safe)


def still_wanted(
    files: Iterable[FileInQuestion],
    destinations: Mapping[str, StorageConfig],
    transfers: Mapping[str, Transfer],
    *,
    expects_calibration: bool,
) -> str:
    """Why these files can't go for age alone, as a clause; empty when no destination waits for them.

    Arguments as for `safe_deletions`. Other than there nobody need have asked for deletion, but a copy that was wanted
    and isn't proved keeps the files all the same.
    """
    selected = _there(destinations.values())
    for name, transfer in sorted(transfers.items()):
        if transfer.status == "completed" and transfer.copy in ("missing", "changed"):
            return f"the copy of the transfer {name} is {transfer.copy}"
        if transfer.status != "cancelled" and not transfer.delivered:
            return f"the transfer {name} is {transfer.status.replace('_', ' ')}"
    for config_id, config in selected.items():
        if expects_calibration and config.settings.wants("calibrated"):
            return f"{config_id} waits for the calibrated file"
        for file in files:
            if config.settings.wants(file.content) and transfer_id(file.version_id, config_id) not in transfers:
                return f"{config_id} is to get it still"
    return ""


def _there(configs: Iterable[StorageConfig]) -> dict[str, StorageConfig]:
    return {config.id: config for config in configs if config.exists and not config.deleted}
