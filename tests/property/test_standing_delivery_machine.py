"""Standing deliveries under any order of commands: what is listed, what rests, from when on arrivals count (S36)."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from application.commands import standing_deliveries as commands
from application.commands.accounts import create_user
from application.commands.standing_deliveries import NewStandingDelivery
from application.commands.storage_configs import NewStorageConfig, create_storage_config
from application.permissions import Principal
from application.standing_deliveries import load_listing
from domain import standing_deliveries
from domain.errors import InvalidInput, NotFound, StarferryError, StreamConflict, Unauthenticated
from domain.frame_query import FrameQuery
from domain.storage_configs import Settings
from tests.fakes.destination import OneDestination, ScriptedDestination
from tests.fakes.file_store import OpenVault
from tests.property.aggregate_machine import CAUSE, FEW, AggregateMachine
from tests.property.test_account_machine import NotedPasswords

PEOPLE = {"ada": Principal("ada"), "ben": Principal("ben")}
ASKERS = st.sampled_from([PEOPLE["ada"], PEOPLE["ada"], PEOPLE["ben"], Principal()])
RULES = st.sampled_from(["r1", "r2", "r3"])
NAMES = st.sampled_from(["All of M31", " All ", "", "x" * 201, "a\nb"])
CHOICES = st.lists(st.sampled_from(["ada-1", "ada-1", "ada-2", "ben-1", "none"]), max_size=3).map(tuple)


class Sheet(msgspec.Struct):
    """What a person would note of a standing delivery; `since` is the position from which on it delivers."""

    owner: str
    name: str
    destinations: tuple[str, ...]
    paused: bool
    since: int
    ended: bool = False


def good(name: str) -> bool:
    return 1 <= len(name.strip()) <= 200 and name.strip().isprintable()


class StandingDeliveryMachine(AggregateMachine):
    aggregate, prefix = standing_deliveries, "standing_delivery:"

    @initialize()
    def begin(self) -> None:
        self.sheets: dict[str, Sheet] = {}
        vault, opening = OpenVault(), OneDestination(ScriptedDestination())
        for name, who in PEOPLE.items():
            create_user(self.log, NotedPasswords(), self.clock, CAUSE, name)
            for config in (f"{name}-1", f"{name}-2"):
                new = NewStorageConfig(
                    id=config, provider="folder", settings=Settings(display_name=config), credentials={"root": "/srv"}
                )
                create_storage_config(self.log, vault, self.clock, CAUSE, who, new, opening)

    @rule(who=ASKERS, rule_id=RULES, name=NAMES, chosen=CHOICES, paused=st.booleans())
    def create(self, who: Principal, rule_id: str, name: str, chosen: tuple[str, ...], paused: bool) -> None:
        new = NewStandingDelivery(
            id=rule_id, name=name, query="q", conditions=FrameQuery(), destinations=chosen, paused=paused
        )
        refused: type[StarferryError] | None = None
        if not who.username:
            refused = Unauthenticated
        elif not chosen or not good(name) or not self._selectable(who, chosen):
            refused = InvalidInput
        elif rule_id in self.sheets:
            refused = StreamConflict
        if self.command(
            lambda: commands.create_standing_delivery(self.log, self.clock, CAUSE, who, new),
            refused=refused,
            again=StreamConflict,
        ):
            since = self.log.head() - 1  # the list's event comes after it
            self.sheets[rule_id] = Sheet(who.username, name.strip(), tuple(dict.fromkeys(chosen)), paused, since)

    @rule(
        who=ASKERS,
        rule_id=RULES,
        name=st.one_of(st.none(), NAMES),
        chosen=st.one_of(st.none(), CHOICES),
        paused=st.one_of(st.none(), st.booleans()),
    )
    def change(
        self, who: Principal, rule_id: str, name: str | None, chosen: tuple[str, ...] | None, paused: bool | None
    ) -> None:
        sheet = self.sheets.get(rule_id)
        refused = self._refused(who, sheet)
        if refused is None and sheet:
            added = [one for one in chosen or () if one not in sheet.destinations]
            wrong = chosen == () or (name is not None and not good(name)) or not self._selectable(who, added)
            refused = InvalidInput if wrong else None
        after = sheet and msgspec.structs.replace(
            sheet,
            name=sheet.name if name is None else name.strip(),
            destinations=sheet.destinations if chosen is None else tuple(dict.fromkeys(chosen)),
            paused=sheet.paused if paused is None else paused,
        )
        if self.command(
            lambda: commands.change_standing_delivery(
                self.log, self.clock, CAUSE, who, rule_id, name=name, destinations=chosen, paused=paused
            ),
            refused=refused,
            changes=after != sheet,
        ):
            assert after
            assert sheet
            if sheet.paused and not after.paused:
                after.since = self.log.head()
            self.sheets[rule_id] = after

    @rule(who=ASKERS, rule_id=RULES)
    def end(self, who: Principal, rule_id: str) -> None:
        if self.command(
            lambda: commands.end_standing_delivery(self.log, self.clock, CAUSE, who, rule_id),
            refused=self._refused(who, self.sheets.get(rule_id)),
            again=NotFound,
        ):
            self.sheets[rule_id].ended = True

    def _refused(self, who: Principal, sheet: Sheet | None) -> type[StarferryError] | None:
        if not who.username:
            return Unauthenticated
        return None if sheet and not sheet.ended and sheet.owner == who.username else NotFound

    def _selectable(self, who: Principal, chosen: tuple[str, ...] | list[str]) -> bool:
        return all(one.startswith(who.username) for one in chosen)

    @invariant()
    def agrees_with_the_model(self) -> None:
        for rule_id, sheet in self.sheets.items():
            found = self.state(rule_id)
            assert found.there is not sheet.ended
            assert (found.owner, found.name, found.destinations, found.paused, found.since) == (
                sheet.owner, sheet.name, sheet.destinations, sheet.paused, sheet.since,
            )  # fmt: skip
            works = not sheet.ended and not sheet.paused
            assert [found.concerns(position) for position in (sheet.since, sheet.since + 1)] == [False, works]

    @invariant()
    def the_list_has_those_that_have_not_ended(self) -> None:
        assert [one.id for one in load_listing(self.log).rules] == [
            rule_id for rule_id, sheet in self.sheets.items() if not sheet.ended
        ]


StandingDeliveryMachine.TestCase.settings = FEW
TestStandingDeliveryMachine = StandingDeliveryMachine.TestCase
