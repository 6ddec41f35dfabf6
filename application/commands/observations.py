"""Observations and the destinations of their files."""

from __future__ import annotations

import msgspec

from application.access import change_observation, group_of, project_named
from application.commands.groups import must_see_group
from application.permissions import Principal, config_access, must_be_known, principal_of
from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.transact import transact
from domain import accounts, observations, storage_configs
from domain.errors import Forbidden, InvalidInput, NotAllowedNow
from domain.event import Cause
from domain.groups import Group
from domain.observations import Observation


class NewObservation(msgspec.Struct, frozen=True, kw_only=True):
    """What an owner submits. Without a number the observation is known by `code`."""

    name: str
    code: str
    observation_id: int | None = None
    project: str = ""
    target: str = ""
    destinations: tuple[str, ...] = ()


def submit_observation(log: EventLog, clock: Clock, cause: Cause, principal: Principal, new: NewObservation) -> str:
    """Record the observation and return its id. Raises InvalidInput for a destination that can't be selected."""
    must_be_known(principal)
    number = new.observation_id
    if number is not None and not 0 <= number <= 2_147_483_647:
        raise InvalidInput("An observation's number lies between 0 and 2147483647.", field="observation_id")
    observation_id = new.code if number is None else str(number)
    project = _project(log, principal, new.project)
    check_destinations(log, principal, new.destinations, new.project)
    transact(
        log,
        observations.stream_of(observation_id),
        lambda history: observations.submit(
            observations.fold(history),
            observation_id=observation_id,
            owner=principal.username,
            name=new.name,
            number=number,
            project=new.project,
            project_name=project.name if project else "",
            target=new.target,
            destinations=new.destinations,
        ),
        cause=cause,
        now=clock.now(),
    )
    return observation_id


def resubmit_observation(
    log: EventLog,
    clock: Clock,
    cause: Cause,
    principal: Principal,
    observation_id: str,
    code: str,
    number: int | None = None,
) -> tuple[str, NewObservation]:
    """Submit another observation like one that the principal may change, with the destinations that it has now, and
    return its id and what was submitted (S35). Raises NotFound, Forbidden, and as `submit_observation`."""
    like = change_observation(log, principal, observation_id)
    if not like.submitted:
        raise NotAllowedNow(f"The observation {observation_id} was only found in a frame's header; submit it first.")
    new = NewObservation(
        name=like.name,
        code=code,
        observation_id=number,
        project=like.project,
        target=like.target,
        destinations=like.destinations,
    )
    return submit_observation(log, clock, cause, principal, new), new


def select_destinations(
    log: EventLog, clock: Clock, cause: Cause, principal: Principal, observation_id: str, destinations: tuple[str, ...]
) -> int:
    """Change where an observation's files go; files that arrived before are delivered too. What is delivered is what
    its owner may have, so somebody else who may change it, but for superusers, only adds what the owner may select,
    too, and nothing personal."""
    stream = observations.stream_of(observation_id)
    observation = change_observation(log, principal, observation_id)
    kept = set(observation.destinations)
    added = tuple(one for one in destinations if one not in kept)
    check_destinations(log, principal, added, observation.project)
    if observation.owner != principal.username and not principal.is_superuser:
        _must_be_shared(log, added, observation)
    return transact(
        log,
        stream,
        lambda history: observations.select_destinations(observations.fold(history), observation_id, destinations),
        cause=cause,
        now=clock.now(),
    )


def check_destinations(
    log: EventLog,
    principal: Principal,
    destinations: tuple[str, ...],
    project: str,
    *,
    field: str = "destinations",
) -> None:
    """Raise InvalidInput, naming the first destination that the principal can't select now for an observation of this
    project (S06–S10, S33), and the field of the request that holds it."""
    found = log.load_many([storage_configs.stream_of(config) for config in destinations])
    for config_id in destinations:
        config = storage_configs.fold(found.get(storage_configs.stream_of(config_id), ()))
        if config_access(principal, config, group_of(log, config)) == "none":
            raise InvalidInput(f"There is no storage configuration {config_id}.", field=field)
        if config.scope == "project" and config.scope_id != project and not principal.is_superuser:
            raise InvalidInput(
                f"The storage configuration {config_id} is only for observations of its project.", field=field
            )
        if not config.enabled:
            raise InvalidInput(f"The storage configuration {config_id} is disabled.", field=field)


def _must_be_shared(log: EventLog, added: tuple[str, ...], observation: Observation) -> None:
    """Raise InvalidInput unless all belong to a project or organization from which the observation's owner may select
    them."""
    owner = principal_of(accounts.fold(log.load(accounts.stream_of(observation.owner))))
    found = log.load_many([storage_configs.stream_of(config) for config in added])
    for config_id in added:
        config = storage_configs.fold(found.get(storage_configs.stream_of(config_id), ()))
        if config.scope == "personal" or config_access(owner, config, group_of(log, config)) == "none":
            raise InvalidInput(
                f"The observation is {observation.owner}'s: only a storage configuration of a project or organization "
                f"that they may select, too, can be added to it, and {config_id} is none.",
                field="destinations",
            )


def _project(log: EventLog, principal: Principal, named: str) -> Group | None:
    """The project that an observation is submitted to, if that is one of ours and not a proposal's code. Raises
    NotFound and Forbidden for one that the principal doesn't belong to, or may only look at."""
    project = project_named(log, named)
    if project is None or principal.is_superuser:
        return project
    must_see_group(principal, project)
    if not project.allows(principal.username, "can_edit"):
        raise Forbidden("You need can_edit in this project to submit an observation to it.")
    return project
