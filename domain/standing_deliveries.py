"""The StandingDelivery aggregate: a saved frame query with destinations, to which frames that match go as they arrive.

The ids of all that haven't ended stand in one further stream, LIST, which changes in the same commits: whoever decides
on a frame asks the log alone which standing deliveries there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar, Literal

import msgspec

from domain.errors import InvalidInput, NotAllowedNow
from domain.event import Event, Recorded
from domain.frame_query import FrameQuery
from domain.names import clean_name

LIST = "standing_deliveries:all"
MOST_DESTINATIONS = 20
_NAME = "The name of a standing delivery"
RuleScope = Literal["personal", "project"]


class DeliveryRuleCreated(Event, frozen=True, kw_only=True):
    """Frames that `conditions` select go to the destinations from now on, as far as `owner` may see them. `query` is
    what was written, `conditions` what it meant."""

    topic: ClassVar[str] = "standing_delivery.created"
    id: str
    owner: str
    scope: RuleScope
    scope_id: str
    name: str
    query: str
    conditions: FrameQuery
    destinations: tuple[str, ...]
    paused: bool = False


class DeliveryRuleChanged(Event, frozen=True, kw_only=True):
    """Name, destinations and whether it rests are these now. What it selects never changes."""

    topic: ClassVar[str] = "standing_delivery.changed"
    name: str
    destinations: tuple[str, ...]
    paused: bool


class DeliveryRuleEnded(Event, frozen=True, kw_only=True):
    """Nothing more is delivered for it; what was requested before goes on."""

    topic: ClassVar[str] = "standing_delivery.ended"


class DeliveryRuleListed(Event, frozen=True, kw_only=True):
    """This standing delivery exists now. (In LIST.)"""

    topic: ClassVar[str] = "standing_delivery.listed"
    id: str


class DeliveryRuleUnlisted(Event, frozen=True, kw_only=True):
    """This one has ended. (In LIST.)"""

    topic: ClassVar[str] = "standing_delivery.unlisted"
    id: str


class StandingDelivery(msgspec.Struct, frozen=True):
    """What commands and the policy need to know. `since` is the position from which on arrivals count: it moves when a
    pause ends. `number` is the position of its creation."""

    id: str = ""
    owner: str = ""
    scope: RuleScope = "personal"
    scope_id: str = ""
    name: str = ""
    query: str = ""
    conditions: FrameQuery = FrameQuery(never=True)
    destinations: tuple[str, ...] = ()
    paused: bool = False
    since: int = 0
    number: int = 0
    created_at: datetime | None = None
    ended: bool = False
    exists: bool = False
    stream_version: int = 0

    @property
    def there(self) -> bool:
        """Whether it was created and hasn't ended."""
        return self.exists and not self.ended

    def concerns(self, position: int) -> bool:
        """Whether a file that arrived at this position is looked at."""
        return self.there and not self.paused and position > self.since


def stream_of(rule: str) -> str:
    """The stream of a standing delivery."""
    return f"standing_delivery:{rule}"


def evolve(rule: StandingDelivery, recorded: Recorded) -> StandingDelivery:
    """The standing delivery after one more of its events."""
    replace = msgspec.structs.replace
    rule = replace(rule, stream_version=recorded.version)
    match recorded.event:
        case DeliveryRuleCreated() as event:
            return replace(
                rule,
                exists=True,
                id=event.id,
                owner=event.owner,
                scope=event.scope,
                scope_id=event.scope_id,
                name=event.name,
                query=event.query,
                conditions=event.conditions,
                destinations=event.destinations,
                paused=event.paused,
                since=recorded.position,
                number=recorded.position,
                created_at=recorded.at,
            )
        case DeliveryRuleChanged() as event:
            since = recorded.position if rule.paused and not event.paused else rule.since
            return replace(rule, name=event.name, destinations=event.destinations, paused=event.paused, since=since)
        case DeliveryRuleEnded():
            return replace(rule, ended=True)
        case _:
            return rule


def fold(history: Iterable[Recorded]) -> StandingDelivery:
    """The standing delivery that a stream tells of."""
    rule = StandingDelivery()
    for recorded in history:
        rule = evolve(rule, recorded)
    return rule


def listed(history: Iterable[Recorded]) -> tuple[str, ...]:
    """The ids of those that haven't ended, oldest first, from the events of LIST."""
    ids: dict[str, None] = {}
    for recorded in history:
        match recorded.event:
            case DeliveryRuleListed() as event:
                ids[event.id] = None
            case DeliveryRuleUnlisted() as event:
                ids.pop(event.id, None)
            case _:
                pass
    return tuple(ids)


def create(rule: StandingDelivery, created: DeliveryRuleCreated) -> tuple[Event, ...]:
    """Decide on a new one; that the owner may select the destinations is checked before. Raises InvalidInput, and
    NotAllowedNow for an id that is taken."""
    if rule.exists:
        raise NotAllowedNow(f"There is a standing delivery {created.id} already.")
    return (
        msgspec.structs.replace(
            created, name=clean_name(created.name, _NAME), destinations=_destinations(created.destinations)
        ),
    )


def change(
    rule: StandingDelivery,
    *,
    name: str | None = None,
    destinations: tuple[str, ...] | None = None,
    paused: bool | None = None,
) -> tuple[Event, ...]:
    """Decide on another name, other destinations, a pause or its end; None leaves a part as it is. Raises InvalidInput,
    and NotAllowedNow when it has ended."""
    _must_be_there(rule)
    changed = DeliveryRuleChanged(
        name=rule.name if name is None else clean_name(name, _NAME),
        destinations=rule.destinations if destinations is None else _destinations(destinations),
        paused=rule.paused if paused is None else paused,
    )
    before = DeliveryRuleChanged(name=rule.name, destinations=rule.destinations, paused=rule.paused)
    return () if changed == before else (changed,)


def end(rule: StandingDelivery) -> tuple[Event, ...]:
    """Decide on its end; ending twice changes nothing."""
    return (DeliveryRuleEnded(),) if rule.there else ()


def _must_be_there(rule: StandingDelivery) -> None:
    if not rule.there:
        raise NotAllowedNow("This standing delivery has ended.")


def _destinations(destinations: tuple[str, ...]) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(destinations))
    if not 1 <= len(chosen) <= MOST_DESTINATIONS:
        message = f"A standing delivery has 1 to {MOST_DESTINATIONS} destinations."
        raise InvalidInput(message, field="destinations")
    return chosen
