"""Where copies would land, before a template is saved (S20)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from application.access import access_to_config
from application.permissions import Principal, must_be_known, observation_access
from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.ports.matching_frames import MatchingFrames
from application.transfer_requests import Wish, assigned
from domain import frames, groups, observations
from domain.destination_paths import check_template, normalise_folder
from domain.errors import NotFound
from domain.frames import Frame
from domain.groups import Group
from domain.observations import Observation
from domain.storage_configs import Content, FileContent, Settings, StorageConfig

KINDS: tuple[Content, ...] = ("raw", "calibrated")


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that somebody thinks of; None takes a saved configuration's, or what a new one has."""

    destination_path: str | None = None
    path_template: str | None = None
    file_content: FileContent | None = None


class Preview(msgspec.Struct, frozen=True):
    """Where a frame's newest file would land."""

    frame: str
    filename: str
    content: Content
    path: str


def preview_paths(
    log: EventLog,
    found: MatchingFrames,
    clock: Clock,
    principal: Principal,
    draft: Draft,
    *,
    storage_config: str = "",
    limit: int = 10,
) -> list[Preview]:
    """The paths that the newest frames visible to the principal would get, in a destination with nothing in it.

    A file of a submitted observation that the principal may see is named as that observation's, any other as theirs.
    Raises NotFound for a configuration that they can't select, InvalidInput for a template that can't be.
    """
    must_be_known(principal)
    config = _drafted(_saved(log, principal, storage_config), draft)
    kinds = [kind for kind in KINDS if config.settings.wants(kind)]
    names = [one.basename for one in found.newest(principal, clock.now(), kinds, limit)]
    histories = log.load_many([frames.stream_of(name) for name in names])
    newest = [frames.fold(histories.get(frames.stream_of(name), ())) for name in names]
    known = _observations(log, principal, newest)
    wishes = [wish for frame in newest for wish in _wish(frame, config, principal, known)]
    return [
        Preview(wish.record.basename, wish.filename, wish.content, path)
        for wish, path in assigned((wish for wish in wishes if config.settings.wants(wish.content)), set())
    ]


def _saved(log: EventLog, principal: Principal, storage_config: str) -> StorageConfig:
    if not storage_config:
        return StorageConfig(id="draft", settings=Settings(display_name=""))
    config, access = access_to_config(log, principal, storage_config)
    if access == "none":
        raise NotFound("There is no such storage configuration.")
    return config


def _drafted(config: StorageConfig, draft: Draft) -> StorageConfig:
    changes = {name: value for name, value in msgspec.structs.asdict(draft).items() if value is not None}
    settings = msgspec.structs.replace(config.settings, **changes)
    check_template(settings.path_template)
    settings = msgspec.structs.replace(settings, destination_path=normalise_folder(settings.destination_path))
    return msgspec.structs.replace(config, settings=settings)


def _wish(frame: Frame, config: StorageConfig, principal: Principal, known: Mapping[str, Observation]) -> list[Wish]:
    if frame.record is None or frame.newest is None:
        return []  # deleted since it was found
    observation = known.get(frame.observation or "", Observation(owner=principal.username))
    return [
        Wish(
            frame_id=frame.id,
            record=frame.record,
            version=frame.newest,
            content="raw" if frame.is_raw else "calibrated",
            config=config,
            owner=principal.username,
            user=observation.owner,
            project=observation.project_name or observation.project,
            target=observation.target,
        )
    ]


def _observations(log: EventLog, principal: Principal, newest: list[Frame]) -> dict[str, Observation]:
    """The submitted observations of these frames that the principal may see."""
    histories = log.load_many(sorted({observations.stream_of(one.observation) for one in newest if one.observation}))
    submitted = [found for history in histories.values() if (found := observations.fold(history)).submitted]
    projects = log.load_many(sorted({groups.stream_of("project", one.project) for one in submitted if one.project}))

    def project(observation: Observation) -> Group | None:
        group = groups.fold(projects.get(groups.stream_of("project", observation.project), ()))
        return group if group.exists else None

    return {one.id: one for one in submitted if observation_access(principal, one, project(one)) != "none"}
