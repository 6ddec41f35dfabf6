"""The Observation aggregate: the unit that an owner asked for, with the destinations selected for its files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import msgspec

from domain.errors import InvalidInput, NotAllowedNow
from domain.event import Event, Recorded
from domain.names import NAME_LENGTH, clean_name


class ObservationSubmitted(Event, frozen=True, kw_only=True):
    """An owner asked for an observation. `number` is the scheduler's, where it has one. `project` is a proposal's code,
    or a project's id; then `project_name` says how that is called."""

    topic: ClassVar[str] = "observation.submitted"
    id: str
    owner: str
    name: str
    number: int | None = None
    project: str = ""
    target: str = ""
    project_name: str = ""


class ObservationDiscovered(Event, frozen=True, kw_only=True):
    """A frame named an observation that nobody had submitted."""

    topic: ClassVar[str] = "observation.discovered"
    id: str
    project: str = ""
    target: str = ""


class DestinationsSelected(Event, frozen=True, kw_only=True):
    """Where copies of this observation's files go from now on: ids of storage configurations."""

    topic: ClassVar[str] = "observation.destinations_selected"
    id: str
    destinations: tuple[str, ...]


class Observation(msgspec.Struct, frozen=True):
    """What the policies need to know of an observation. `ever_selected` also holds destinations of the past: copies
    may still be on their way there."""

    id: str = ""
    owner: str = ""
    name: str = ""
    number: int | None = None
    project: str = ""
    target: str = ""
    project_name: str = ""
    destinations: tuple[str, ...] = ()
    ever_selected: tuple[str, ...] = ()
    submitted: bool = False
    stream_version: int = 0


def stream_of(observation_id: str) -> str:
    """The stream of an observation, from its number or code."""
    return f"observation:{observation_id}"


def evolve(observation: Observation, recorded: Recorded) -> Observation:
    """The observation after one more of its events."""
    replace = msgspec.structs.replace
    observation = replace(observation, stream_version=recorded.version)
    match recorded.event:
        case ObservationSubmitted() as event:
            return replace(
                observation,
                id=event.id,
                owner=event.owner,
                name=event.name,
                number=event.number,
                project=event.project,
                target=event.target,
                project_name=event.project_name,
                submitted=True,
            )
        case ObservationDiscovered() as event:
            return replace(observation, id=event.id, project=event.project, target=event.target)
        case DestinationsSelected() as event:
            ever = tuple(dict.fromkeys((*observation.ever_selected, *event.destinations)))
            return replace(observation, destinations=event.destinations, ever_selected=ever)
        case _:
            return observation


def fold(history: Iterable[Recorded]) -> Observation:
    """The observation that a stream tells of."""
    observation = Observation()
    for recorded in history:
        observation = evolve(observation, recorded)
    return observation


def submit(
    observation: Observation,
    *,
    observation_id: str,
    owner: str,
    name: str,
    number: int | None,
    project: str,
    target: str,
    destinations: tuple[str, ...],
    project_name: str = "",
) -> tuple[Event, ...]:
    """Decide on an owner's submission. Raises NotAllowedNow when it was submitted before, InvalidInput."""
    if observation.submitted:
        raise NotAllowedNow(f"Observation {observation_id} has been submitted already.")
    for field, text in (("project", project), ("target", target)):
        if len(text) > NAME_LENGTH or not text.isprintable():
            problem = f"The {field} of an observation has at most {NAME_LENGTH} printable characters."
            raise InvalidInput(problem, field=field)
    events: tuple[Event, ...] = (
        ObservationSubmitted(
            id=observation_id,
            owner=owner,
            name=clean_name(name, "The name of an observation"),
            number=number,
            project=project,
            target=target,
            project_name=project_name,
        ),
    )
    return events + select_destinations(observation, observation_id, destinations) if destinations else events


def select_destinations(
    observation: Observation, observation_id: str, destinations: tuple[str, ...]
) -> tuple[Event, ...]:
    """Decide on destinations; that each may be selected by the owner is checked before (application/permissions)."""
    chosen = tuple(dict.fromkeys(destinations))
    if chosen == observation.destinations:
        return ()
    return (DestinationsSelected(id=observation_id, destinations=chosen),)
