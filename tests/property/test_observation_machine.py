"""Observations under any order of commands: submitted once, found in headers before, resubmitted, given destinations
that their owner may select at that time (section 6 of the contract)."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from application.commands import observations as commands
from application.commands.accounts import create_user
from application.commands.observations import NewObservation
from application.commands.storage_configs import (
    ConfigChange,
    NewStorageConfig,
    create_storage_config,
    delete_storage_config,
    edit_storage_config,
)
from application.permissions import Principal
from application.ports.event_log import Commit, Write
from domain import observations
from domain.errors import InvalidInput, NotAllowedNow, NotFound, StarferryError, StreamConflict, Unauthenticated
from domain.observations import ObservationDiscovered
from domain.storage_configs import Settings
from tests.fakes.destination import OneDestination, ScriptedDestination
from tests.fakes.file_store import OpenVault
from tests.fakes.lookups import LogLookups
from tests.property.aggregate_machine import CAUSE, FEW, AggregateMachine
from tests.property.test_account_machine import NotedPasswords
from tests.property.test_storage_config_machine import NoConsent

PEOPLE = {"ada": Principal("ada"), "ben": Principal("ben")}
ASKERS = st.sampled_from([*PEOPLE.values(), Principal()])
CONFIGS = ("ada-1", "ada-2", "ben-1")
"""Each its namesake's own."""
CHOICES = st.lists(st.sampled_from([*CONFIGS, "none"]), max_size=3).map(tuple)
NUMBERS = st.sampled_from([1, 2])
NAMES = st.sampled_from(["Night", " Night ", "", "x" * 201])


class Sheet(msgspec.Struct):
    """What a person would note of an observation; nobody owns one that was only found."""

    owner: str = ""
    name: str = ""
    destinations: tuple[str, ...] = ()
    ever: set[str] = msgspec.field(default_factory=set)


class ObservationMachine(AggregateMachine):
    aggregate, prefix = observations, "observation:"

    @initialize()
    def begin(self) -> None:
        self.sheets: dict[int, Sheet] = {}
        self.usable = dict.fromkeys(CONFIGS, True)
        self.gone: set[str] = set()
        self.vault = OpenVault()
        self.opening = OneDestination(ScriptedDestination())
        for name, who in PEOPLE.items():
            create_user(self.log, NotedPasswords(), self.clock, CAUSE, name)
            for config in (one for one in CONFIGS if one.startswith(name)):
                new = NewStorageConfig(
                    id=config, provider="folder", settings=Settings(display_name=config), credentials={"root": "/srv"}
                )
                create_storage_config(self.log, self.vault, self.clock, CAUSE, who, new, self.opening)

    @rule(config=st.sampled_from(CONFIGS), enabled=st.booleans())
    def enable(self, config: str, enabled: bool) -> None:
        if config in self.gone:
            return
        owner, change = PEOPLE[config[:3]], ConfigChange(enabled=enabled)
        edit_storage_config(self.log, self.vault, self.clock, CAUSE, owner, config, change, self.opening)
        self.usable[config] = enabled

    @rule(config=st.sampled_from(CONFIGS))
    def delete_a_destination(self, config: str) -> None:
        if config in self.gone:
            return
        consent: Any = NoConsent()
        lookup = LogLookups(self.log, self.clock)
        delete_storage_config(self.log, self.vault, self.clock, CAUSE, PEOPLE[config[:3]], config, consent, lookup)
        self.gone.add(config)

    @rule(who=ASKERS, number=NUMBERS, name=NAMES, chosen=CHOICES)
    def submit(self, who: Principal, number: int, name: str, chosen: tuple[str, ...]) -> None:
        new = NewObservation(name=name, code="unused", observation_id=number, destinations=chosen)
        if self.command(
            lambda: commands.submit_observation(self.log, self.clock, CAUSE, who, new),
            refused=self._refused_submission(who, number, name, chosen),
            again=NotAllowedNow,
        ):
            self._note(number, who.username, name, chosen)

    @rule(number=st.sampled_from([-1, 2**31]))
    def submit_an_impossible_number(self, number: int) -> None:
        new = NewObservation(name="Night", code="unused", observation_id=number)
        self.command(
            lambda: commands.submit_observation(self.log, self.clock, CAUSE, PEOPLE["ada"], new), refused=InvalidInput
        )

    @rule(number=NUMBERS)
    def be_found_in_a_header(self, number: int) -> None:
        """Ingest writes this where nobody has submitted the observation: exactly there, or the log refuses."""
        found = ObservationDiscovered(id=str(number), target="M31")
        write = Write(observations.stream_of(str(number)), 0, (found,))
        if self.command(
            lambda: self.log.append(Commit(writes=(write,), cause=CAUSE, at=self.clock.now())),
            refused=StreamConflict if number in self.sheets else None,
            again=StreamConflict,
        ):
            self.sheets[number] = Sheet()

    @rule(who=ASKERS, number=NUMBERS, chosen=CHOICES)
    def select(self, who: Principal, number: int, chosen: tuple[str, ...]) -> None:
        sheet = self.sheets.get(number)
        refused: type[StarferryError] | None = self._refused_look(who, sheet)
        fresh = [one for one in chosen if sheet is None or one not in sheet.destinations]
        if refused is None and not self._selectable(who, fresh):
            refused = InvalidInput
        kept = tuple(dict.fromkeys(chosen))
        if self.command(
            lambda: commands.select_destinations(self.log, self.clock, CAUSE, who, str(number), chosen),
            refused=refused,
            changes=sheet is not None and sheet.destinations != kept,
        ):
            assert sheet
            sheet.destinations = kept
            sheet.ever |= set(kept)

    @rule(who=ASKERS, number=NUMBERS, other=NUMBERS)
    def resubmit(self, who: Principal, number: int, other: int) -> None:
        """S35: a new one with the same destinations, if they may still be selected."""
        sheet = self.sheets.get(number)
        refused = self._refused_look(who, sheet)
        if refused is None and sheet:
            refused = (
                self._refused_submission(who, other, sheet.name, sheet.destinations) if sheet.owner else NotAllowedNow
            )
        if self.command(
            lambda: commands.resubmit_observation(
                self.log, self.clock, CAUSE, who, str(number), "unused", other
            ),
            refused=refused,
            again=NotAllowedNow,
        ):  # fmt: skip
            assert sheet
            self._note(other, who.username, sheet.name, sheet.destinations)

    def _note(self, number: int, owner: str, name: str, chosen: tuple[str, ...]) -> None:
        kept = tuple(dict.fromkeys(chosen))
        self.sheets[number] = Sheet(owner, name.strip(), kept, set(kept))

    def _refused_look(self, who: Principal, sheet: Sheet | None) -> type[StarferryError] | None:
        if not who.username:
            return Unauthenticated
        return None if sheet and sheet.owner == who.username else NotFound

    def _refused_submission(
        self, who: Principal, number: int, name: str, chosen: tuple[str, ...]
    ) -> type[StarferryError] | None:
        if not who.username:
            return Unauthenticated
        if not self._selectable(who, chosen):
            return InvalidInput
        if number in self.sheets and self.sheets[number].owner:
            return NotAllowedNow
        return None if len(name.strip()) >= 1 and len(name) <= 200 else InvalidInput

    def _selectable(self, who: Principal, chosen: tuple[str, ...] | list[str]) -> bool:
        return all(
            one.startswith(who.username) and one not in self.gone and self.usable.get(one, False) for one in chosen
        )

    @invariant()
    def agrees_with_the_model(self) -> None:
        for number in (1, 2):
            observation, sheet = self.state(str(number)), self.sheets.get(number)
            assert bool(observation.id) is (sheet is not None)
            if sheet is None:
                continue
            assert observation.submitted is bool(sheet.owner)
            assert (observation.owner, observation.name, observation.destinations) == (
                sheet.owner, sheet.name, sheet.destinations,
            )  # fmt: skip
            assert set(observation.ever_selected) == sheet.ever
            assert set(observation.destinations) <= set(observation.ever_selected)


ObservationMachine.TestCase.settings = FEW
TestObservationMachine = ObservationMachine.TestCase
