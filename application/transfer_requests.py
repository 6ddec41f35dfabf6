"""How a wish for a copy becomes a request: the settings as of now (S31), and a path that no other copy has."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from application.ports.event_log import EventLog
from domain import destination_paths, transfers
from domain.event import Recorded
from domain.frame_record import FrameRecord
from domain.frames import FrameVersion
from domain.storage_configs import Content, StorageConfig
from domain.transfer_events import TransferRequested


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """One version that is to go to one destination. `owner` is whose transfer it is; `user`, `project` and `target`
    fill the template; `delete` says that this destination's wish to have the file deleted afterwards counts."""

    frame_id: int
    record: FrameRecord
    version: FrameVersion
    content: Content
    config: StorageConfig
    owner: str
    user: str
    project: str = ""
    target: str = ""
    observation: str | None = None
    delete: bool = False

    @property
    def id(self) -> str:
        """The transfer's id."""
        return transfers.transfer_id(self.version.id, self.config.id)

    @property
    def filename(self) -> str:
        """The file's name on the server."""
        return self.record.basename + self.version.extension

    @property
    def path(self) -> str:
        """Where the copy lands, if the name is free there."""
        settings = self.config.settings
        return destination_paths.render(
            settings.destination_path,
            settings.path_template,
            destination_paths.calibrated_name(self.filename) if self.content == "calibrated" else self.filename,
            user=self.user,
            project=self.project or self.record.proposal_id,
            target=self.target or self.record.target_name,
        )

    def requested(self, path: str) -> TransferRequested:
        """The event that asks for it."""
        return TransferRequested(
            id=self.id,
            storage_config=self.config.id,
            provider=self.config.provider,
            frame=self.record.basename,
            frame_id=self.frame_id,
            version_id=self.version.id,
            filename=self.filename,
            content=self.content,
            destination_path=path,
            store_path=self.version.path,
            store_key=self.version.key,
            md5=self.version.md5,
            size=self.version.size,
            hashes=self.version.hashes,
            observation=self.observation,
            owner=self.owner,
            delete_from_server=self.config.settings.delete_from_server and self.delete,
        )


def with_free_paths(log: EventLog, wishes: Iterable[Wish], taken: frozenset[str]) -> list[tuple[Wish, str]]:
    """Each wish with a path that is free at its destination; the first of two with equal names keeps it. `taken` are
    claims that a first try found taken."""
    wishes = tuple(wishes)
    claims = {destination_paths.path_claim(wish.config.id, wish.path) for wish in wishes}
    occupied = set(taken | log.claimed(sorted(claims))) if claims else set()
    return assigned(wishes, occupied)


def assigned(wishes: Iterable[Wish], occupied: set[str]) -> list[tuple[Wish, str]]:
    """The same, where the claims that are `occupied` are known; they become more."""
    placed = []
    for wish in wishes:
        path = _free_path(wish.path, wish.version.id, wish.config.id, occupied)
        occupied.add(destination_paths.path_claim(wish.config.id, path))
        placed.append((wish, path))
    return placed


def _free_path(path: str, version_id: int, config: str, occupied: set[str]) -> str:
    while destination_paths.path_claim(config, path) in occupied:
        path, before = destination_paths.beside(path, version_id), path
        if path == before:
            break
    return path


def requests_of(log: EventLog, events: Iterable[Recorded]) -> dict[str, TransferRequested]:
    """The requests of these events' transfers, by stream, in one trip."""
    found = log.load_many(sorted({recorded.stream for recorded in events}))
    first = {stream: history[0].event for stream, history in found.items()}
    return {stream: event for stream, event in first.items() if isinstance(event, TransferRequested)}
