"""Loads what somebody asks for, if they may have it: 404 for what they may not see, 403 for what they may see only."""

from __future__ import annotations

from application.permissions import (
    ConfigAccess,
    ObservationAccess,
    Principal,
    config_access,
    must_be_known,
    observation_access,
)
from application.ports.event_log import EventLog
from domain import groups, observations, storage_configs
from domain.errors import Forbidden, NotFound
from domain.groups import Group
from domain.observations import Observation
from domain.storage_configs import StorageConfig


def access_to_config(log: EventLog, principal: Principal, config_id: str) -> tuple[StorageConfig, ConfigAccess]:
    """The configuration as the log has it now, and what the principal may do with it."""
    config = storage_configs.fold(log.load(storage_configs.stream_of(config_id)))
    return config, config_access(principal, config, group_of(log, config))


def manage_config(log: EventLog, principal: Principal, config_id: str) -> StorageConfig:
    """The configuration, for those who manage it. Raises Unauthenticated, NotFound, Forbidden."""
    must_be_known(principal)
    config, access = access_to_config(log, principal, config_id)
    if access == "none":
        raise NotFound("There is no such storage configuration.")
    if access == "select":
        raise Forbidden(f"You may select this storage configuration; only who manages those of its {config.scope} "
                        "may change it.")  # fmt: skip
    return config


def group_of(log: EventLog, config: StorageConfig) -> Group | None:
    """The organization or project that a configuration belongs to; None for a personal one."""
    if config.scope == "personal":
        return None
    return groups.fold(log.load(groups.stream_of(config.scope, config.scope_id)))


def access_to_observation(
    log: EventLog, principal: Principal, observation_id: str
) -> tuple[Observation, ObservationAccess]:
    """The observation as the log has it now, and what the principal may do with it."""
    observation = observations.fold(log.load(observations.stream_of(observation_id)))
    return observation, observation_access(principal, observation, project_named(log, observation.project))


def change_observation(log: EventLog, principal: Principal, observation_id: str) -> Observation:
    """The observation, for those who may change it. Raises Unauthenticated, NotFound, Forbidden."""
    must_be_known(principal)
    observation, access = access_to_observation(log, principal, observation_id)
    if access == "none":
        raise NotFound("There is no such observation.")
    if access == "view":
        raise Forbidden("You may see this observation; only its owner, or who may edit its project, may change it.")
    return observation


def project_named(log: EventLog, project: str) -> Group | None:
    """The project of this id, if `project` is one: it may also be a proposal's code, or nothing."""
    if not project:
        return None
    found = groups.fold(log.load(groups.stream_of("project", project)))
    return found if found.exists else None
