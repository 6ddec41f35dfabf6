"""Observations and the destinations of their files."""

from __future__ import annotations

import pytest

from domain import observations
from domain.errors import InvalidInput, NotAllowedNow
from domain.event import Event
from domain.observations import DestinationsSelected, Observation, ObservationDiscovered, ObservationSubmitted
from tests.fakes.samples import recorded

SUBMITTED = ObservationSubmitted(id="42", owner="ana", name="M31", number=42, project="P", target="M31")
DISCOVERED = ObservationDiscovered(id="42", project="PROP", target="M 31")


def submit(observation: Observation, *destinations: str, name: str = "M31") -> tuple[Event, ...]:
    return observations.submit(
        observation,
        observation_id="42",
        owner="ana",
        name=name,
        number=42,
        project="P",
        target="M31",
        destinations=destinations,
    )


def after(*events: Event) -> Observation:
    return observations.fold(recorded(*events))


def test_a_submission_without_destinations_is_one_event() -> None:
    assert submit(Observation()) == (SUBMITTED,)


def test_a_submission_selects_its_destinations_each_once_and_in_order() -> None:
    events = submit(Observation(), "cfg-b", "cfg-a", "cfg-b")
    assert events == (SUBMITTED, DestinationsSelected(id="42", destinations=("cfg-b", "cfg-a")))
    observation = after(*events)
    assert (observation.owner, observation.destinations) == ("ana", ("cfg-b", "cfg-a"))
    assert observation.submitted


def test_an_observation_can_be_submitted_only_once() -> None:
    with pytest.raises(NotAllowedNow, match="42"):
        submit(after(SUBMITTED))


def test_an_observation_that_a_frame_named_first_can_still_be_submitted() -> None:
    found = after(DISCOVERED)
    assert (found.id, found.owner, found.project, found.submitted) == ("42", "", "PROP", False)
    owned = after(DISCOVERED, *submit(found, "cfg-a"))
    assert (owned.owner, owned.project, owned.target, owned.destinations) == ("ana", "P", "M31", ("cfg-a",))


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\nb", "a\x1bb", "a\u202eb", "a\u2067b"])
def test_a_name_has_1_to_200_printable_characters(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        submit(Observation(), name=name)
    assert refused.value.field == "name"


def test_a_name_is_trimmed() -> None:
    assert submit(Observation(), name="  M31 ") == (SUBMITTED,)


def test_selecting_replaces_the_destinations_and_remembers_those_of_the_past() -> None:
    first = after(SUBMITTED, DestinationsSelected(id="42", destinations=("cfg-a", "cfg-b")))
    events = observations.select_destinations(first, "42", ("cfg-b", "cfg-c", "cfg-c"))
    assert events == (DestinationsSelected(id="42", destinations=("cfg-b", "cfg-c")),)
    second = observations.evolve(first, recorded(*events)[0])
    assert second.destinations == ("cfg-b", "cfg-c")
    assert second.ever_selected == ("cfg-a", "cfg-b", "cfg-c")


def test_all_destinations_can_be_taken_away() -> None:
    first = after(SUBMITTED, DestinationsSelected(id="42", destinations=("cfg-a",)))
    assert observations.select_destinations(first, "42", ()) == (DestinationsSelected(id="42", destinations=()),)


def test_selecting_the_same_again_changes_nothing() -> None:
    first = after(SUBMITTED, DestinationsSelected(id="42", destinations=("cfg-a", "cfg-b")))
    assert observations.select_destinations(first, "42", ("cfg-a", "cfg-b", "cfg-a")) == ()


def test_the_stream_follows_from_the_number_or_code() -> None:
    assert observations.stream_of("42") == "observation:42"
