"""Standing deliveries are created, changed and ended by their owner, or who manages their project's storage (S36)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from application.commands.groups import see_group
from application.commands.observations import check_destinations
from application.permissions import Principal, RuleAccess, managing, must_be_known, rule_access
from application.ports.clock import Clock
from application.ports.event_log import Commit, EventLog, Write
from application.standing_deliveries import load_listing
from application.transact import TRIES
from domain import groups, standing_deliveries
from domain.errors import Forbidden, InvalidInput, NotAllowedNow, NotFound, StreamConflict
from domain.event import Cause, Event
from domain.frame_query import FrameQuery
from domain.groups import Group
from domain.standing_deliveries import (
    LIST,
    DeliveryRuleCreated,
    DeliveryRuleListed,
    DeliveryRuleUnlisted,
    RuleScope,
    StandingDelivery,
)

MOST = 100
"""Of one person or project: each is looked at for every file that arrives."""


class NewStandingDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody hands in: the query as it was written, and what it means."""

    id: str
    name: str
    query: str
    conditions: FrameQuery
    destinations: tuple[str, ...]
    scope: RuleScope = "personal"
    scope_id: str = ""
    paused: bool = False


def create_standing_delivery(
    log: EventLog, clock: Clock, cause: Cause, principal: Principal, new: NewStandingDelivery
) -> int:
    """Record it; frames that arrive from now on count.

    Raises NotFound or Forbidden for a project in which the principal doesn't manage storage, InvalidInput, and
    NotAllowedNow beyond MOST.
    """
    must_be_known(principal)
    _must_manage_scope(log, principal, new)
    check_destinations(log, principal, new.destinations, new.scope_id)
    created = DeliveryRuleCreated(
        id=new.id,
        owner=principal.username,
        scope=new.scope,
        scope_id=new.scope_id,
        name=new.name,
        query=new.query,
        conditions=new.conditions,
        destinations=new.destinations,
        paused=new.paused,
    )
    for _ in range(TRIES):
        listing = load_listing(log)
        if sum(_side_by_side(rule, created) for rule in listing.rules) >= MOST:
            raise NotAllowedNow(f"There are {MOST} standing deliveries already; end one first.")
        writes = (
            Write(standing_deliveries.stream_of(new.id), 0, standing_deliveries.create(StandingDelivery(), created)),
            Write(LIST, listing.version, (DeliveryRuleListed(id=new.id),)),
        )
        try:
            return log.append(Commit(writes=writes, cause=cause, at=clock.now()))
        except StreamConflict:
            continue
    raise StreamConflict("Others create standing deliveries all the time; try again.")


def change_standing_delivery(
    log: EventLog,
    clock: Clock,
    cause: Cause,
    principal: Principal,
    rule_id: str,
    *,
    name: str | None = None,
    destinations: tuple[str, ...] | None = None,
    paused: bool | None = None,
) -> int:
    """Change its name or destinations, let it rest or go on. Frames that arrive during a pause aren't delivered."""

    def decide(rule: StandingDelivery) -> tuple[Event, ...]:
        added = tuple(one for one in destinations or () if one not in rule.destinations)
        check_destinations(log, principal, added, rule.scope_id)
        return standing_deliveries.change(rule, name=name, destinations=destinations, paused=paused)

    return _change(log, clock, cause, principal, rule_id, decide)


def end_standing_delivery(log: EventLog, clock: Clock, cause: Cause, principal: Principal, rule_id: str) -> int:
    """End it. What it has requested goes on."""
    return _change(log, clock, cause, principal, rule_id, standing_deliveries.end)


def see_standing_delivery(log: EventLog, principal: Principal, rule_id: str) -> tuple[StandingDelivery, RuleAccess]:
    """One that hasn't ended, and what the principal may do with it. Raises Unauthenticated, NotFound."""
    must_be_known(principal)
    rule = standing_deliveries.fold(log.load(standing_deliveries.stream_of(rule_id)))
    access = rule_access(principal, rule, _project(log, rule))
    if access == "none":
        raise NotFound("There is no such standing delivery.")
    return rule, access


def seen_standing_deliveries(log: EventLog, principal: Principal) -> list[StandingDelivery]:
    """All that the principal may see and that haven't ended, newest first."""
    must_be_known(principal)
    rules = load_listing(log).rules
    streams = {groups.stream_of("project", rule.scope_id) for rule in rules if rule.scope == "project"}
    projects = log.load_many(sorted(streams)) if streams else {}

    def project(rule: StandingDelivery) -> Group | None:
        stream = groups.stream_of("project", rule.scope_id)
        return groups.fold(projects.get(stream, ())) if rule.scope == "project" else None

    return [rule for rule in reversed(rules) if rule_access(principal, rule, project(rule)) != "none"]


def _change(
    log: EventLog,
    clock: Clock,
    cause: Cause,
    principal: Principal,
    rule_id: str,
    decide: Callable[[StandingDelivery], tuple[Event, ...]],
) -> int:
    """What `decide` makes of it, for those who manage it at that moment; its end leaves the list, too."""
    for _ in range(TRIES):
        listing = load_listing(log)
        rule, access = see_standing_delivery(log, principal, rule_id)
        if access != "manage":
            raise Forbidden("You may see this standing delivery; only who manages its project's storage may change it.")
        events = decide(rule)
        if not events:
            return log.head()
        writes = [Write(standing_deliveries.stream_of(rule_id), rule.stream_version, events)]
        if any(isinstance(event, standing_deliveries.DeliveryRuleEnded) for event in events):
            writes.append(Write(LIST, listing.version, (DeliveryRuleUnlisted(id=rule_id),)))
        try:
            return log.append(Commit(writes=tuple(writes), cause=cause, at=clock.now()))
        except StreamConflict:
            continue
    raise StreamConflict("Others change the same standing delivery all the time; try again.")


def _must_manage_scope(log: EventLog, principal: Principal, new: NewStandingDelivery) -> None:
    if new.scope == "personal":
        if new.scope_id:
            message = "A personal standing delivery is always your own: leave scope_id out."
            raise InvalidInput(message, field="scope_id")
        return
    project = see_group(log, principal, "project", new.scope_id)
    if not (principal.is_superuser or project.allows(principal.username, *managing("project"))):
        needed = " or ".join(managing("project"))
        raise Forbidden(f"You need {needed} in this project to add a standing delivery to it.")


def _side_by_side(rule: StandingDelivery, created: DeliveryRuleCreated) -> bool:
    """Whether both belong to the same person or project."""
    same = (rule.scope, rule.scope_id) == (created.scope, created.scope_id)
    return same and (rule.scope == "project" or rule.owner == created.owner)


def _project(log: EventLog, rule: StandingDelivery) -> Group | None:
    if rule.scope == "personal":
        return None
    return groups.fold(log.load(groups.stream_of("project", rule.scope_id)))
