"""Observations and the destinations of their files."""

from __future__ import annotations

import msgspec

from application.permissions import Principal, may_use_config, must_be_known, must_see_observation
from application.ports.clock import Clock
from application.ports.event_log import EventLog
from application.transact import transact
from domain import observations, storage_configs
from domain.errors import InvalidInput
from domain.event import Cause


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
    check_destinations(log, principal, new.destinations)
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
            target=new.target,
            destinations=new.destinations,
        ),
        cause=cause,
        now=clock.now(),
    )
    return observation_id


def select_destinations(
    log: EventLog, clock: Clock, cause: Cause, principal: Principal, observation_id: str, destinations: tuple[str, ...]
) -> int:
    """Change where an observation's files go; files that arrived before are delivered too."""
    stream = observations.stream_of(observation_id)
    must_see_observation(principal, observations.fold(log.load(stream)))
    check_destinations(log, principal, destinations)
    return transact(
        log,
        stream,
        lambda history: observations.select_destinations(observations.fold(history), observation_id, destinations),
        cause=cause,
        now=clock.now(),
    )


def check_destinations(log: EventLog, principal: Principal, destinations: tuple[str, ...]) -> None:
    """Raise InvalidInput, naming the first destination that the principal can't select now."""
    found = log.load_many([storage_configs.stream_of(config) for config in destinations])
    for config_id in destinations:
        config = storage_configs.fold(found.get(storage_configs.stream_of(config_id), ()))
        if not config.exists or config.deleted or not may_use_config(principal, config):
            raise InvalidInput(f"There is no storage configuration {config_id}.", field="destinations")
        if not config.enabled:
            raise InvalidInput(f"The storage configuration {config_id} is disabled.", field="destinations")
