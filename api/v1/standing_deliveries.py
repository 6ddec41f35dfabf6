"""`/api/v1/standing-deliveries`: frames that match a saved query are delivered as they arrive (S36)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import FromPath

from adapters.ids import new_id
from api.frame_query import parse_query
from api.read_gate import HEADER
from api.serving import AnyRequest, Serving, cause, in_thread, serving_of
from api.v1.answers import body_of, json_answer, listing, window
from application.commands.standing_deliveries import (
    NewStandingDelivery,
    change_standing_delivery,
    create_standing_delivery,
    end_standing_delivery,
    see_standing_delivery,
    seen_standing_deliveries,
)
from application.permissions import Principal, must_be_known
from application.ports.event_log import EventLog
from application.standing_deliveries import load_means
from domain.standing_deliveries import RuleScope, StandingDelivery


class RuleBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A new standing delivery as it is sent. `query` is that of an address of `/frames/`."""

    name: str
    query: str
    destinations: tuple[str, ...]
    scope: RuleScope = "personal"
    scope_id: str = ""
    paused: bool = False


class RulePatch(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A change as it is sent: null, or what is left out, stays."""

    name: str | None = None
    destinations: tuple[str, ...] | None = None
    paused: bool | None = None


class RuleCard(msgspec.Struct, frozen=True, kw_only=True):
    """A standing delivery as it is shown. `problem` says why it delivers less than it says, null when it doesn't."""

    id: str
    name: str
    owner: str
    scope: RuleScope
    scope_id: str
    query: str
    destinations: tuple[str, ...]
    paused: bool
    created_at: datetime | None
    problem: str | None


@get("/standing-deliveries")
async def list_rules(request: AnyRequest) -> Response[bytes]:
    """The asker's standing deliveries, and those of their projects."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    must_be_known(viewer)
    below, limit = window(request)
    seen = await in_thread(seen_standing_deliveries, serving.core.log, viewer)
    rules = [rule for rule in seen if rule.number < below][: limit + 1]
    cards = await in_thread(_cards, serving.core.log, rules)
    return listing([msgspec.structs.asdict(card) for card in cards], limit, [rule.number for rule in rules])


@get("/standing-deliveries/{standing_delivery:str}")
async def rule_detail(request: AnyRequest, standing_delivery: FromPath[str]) -> Response[bytes]:
    """One standing delivery."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    return json_answer(await _card(serving, viewer, standing_delivery))


@post("/standing-deliveries")
async def create_rule(request: AnyRequest) -> Response[bytes]:
    """Attach destinations to a query, from now on."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    must_be_known(principal)
    body = await body_of(request, RuleBody)
    core = serving.core
    science = core.settings["SCIENCE_CONFIGURATION_TYPES"]
    new = NewStandingDelivery(
        id=new_id("std"),
        name=body.name,
        query=body.query,
        conditions=parse_query(body.query, core.sky, types=serving.types.known(), science_types=science),
        destinations=body.destinations,
        scope=body.scope,
        scope_id=body.scope_id,
        paused=body.paused,
    )
    why = cause(principal, "api")
    position = await in_thread(create_standing_delivery, core.log, core.clock, why, principal, new)
    return await _written(serving, principal, new.id, position, 201)


@patch("/standing-deliveries/{standing_delivery:str}")
async def change_rule(request: AnyRequest, standing_delivery: FromPath[str]) -> Response[bytes]:
    """Another name, other destinations, a pause or its end."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    must_be_known(principal)
    body = await body_of(request, RulePatch)
    core = serving.core
    position = await in_thread(
        change_standing_delivery,
        core.log,
        core.clock,
        cause(principal, "api"),
        principal,
        standing_delivery,
        name=body.name,
        destinations=body.destinations,
        paused=body.paused,
    )
    return await _written(serving, principal, standing_delivery, position, 200)


@delete("/standing-deliveries/{standing_delivery:str}", status_code=204)
async def end_rule(request: AnyRequest, standing_delivery: FromPath[str]) -> None:
    """End it. What it has requested goes on."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    core = serving.core
    why = cause(principal, "api")
    position = await in_thread(end_standing_delivery, core.log, core.clock, why, principal, standing_delivery)
    serving.gate.wrote(principal.username, position)


async def _written(serving: Serving, principal: Principal, rule: str, position: int, status: int) -> Response[bytes]:
    serving.gate.wrote(principal.username, position)
    card = await _card(serving, principal, rule)
    return json_answer(card, status=status, headers={HEADER: str(position)})


async def _card(serving: Serving, viewer: Principal, rule_id: str) -> RuleCard:
    log = serving.core.log
    rule, _ = await in_thread(see_standing_delivery, log, viewer, rule_id)
    (card,) = await in_thread(_cards, log, [rule])
    return card


def _cards(log: EventLog, rules: Sequence[StandingDelivery]) -> list[RuleCard]:
    means = load_means(log, rules)
    return [
        RuleCard(
            id=rule.id,
            name=rule.name,
            owner=rule.owner,
            scope=rule.scope,
            scope_id=rule.scope_id,
            query=rule.query,
            destinations=rule.destinations,
            paused=rule.paused,
            created_at=rule.created_at,
            problem=means.problem(rule) or None,
        )
        for rule in rules
    ]
