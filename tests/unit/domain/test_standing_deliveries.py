"""A standing delivery: created, changed, paused, ended."""

from __future__ import annotations

import msgspec
import pytest

from domain import standing_deliveries
from domain.errors import InvalidInput, NotAllowedNow
from domain.event import Event
from domain.frame_query import FrameQuery
from domain.standing_deliveries import (
    MOST_DESTINATIONS,
    DeliveryRuleChanged,
    DeliveryRuleCreated,
    DeliveryRuleEnded,
    DeliveryRuleListed,
    DeliveryRuleUnlisted,
    StandingDelivery,
)
from tests.fakes.samples import recorded

CREATED = DeliveryRuleCreated(
    id="std-1", owner="ana", scope="personal", scope_id="", name="Ours", query="site_id=coj",
    conditions=FrameQuery(site_id="coj"), destinations=("a",),
)  # fmt: skip


def after(*events: Event) -> StandingDelivery:
    return standing_deliveries.fold(recorded(*events))


def changed(*destinations: str, name: str = "Ours", paused: bool = False) -> DeliveryRuleChanged:
    return DeliveryRuleChanged(name=name, destinations=destinations, paused=paused)


def test_it_is_created_with_a_trimmed_name_and_each_destination_once() -> None:
    wish = msgspec.structs.replace(CREATED, name=" Ours ", destinations=("a", "a"))
    assert standing_deliveries.create(StandingDelivery(), wish) == (CREATED,)
    with pytest.raises(NotAllowedNow):
        standing_deliveries.create(after(CREATED), CREATED)


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\nb"])
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        standing_deliveries.create(StandingDelivery(), msgspec.structs.replace(CREATED, name=name))
    assert refused.value.field == "name"


@pytest.mark.parametrize("count", [0, MOST_DESTINATIONS + 1])
def test_it_has_some_destinations_and_not_too_many(count: int) -> None:
    destinations = tuple(f"cfg-{number}" for number in range(count))
    with pytest.raises(InvalidInput) as refused:
        standing_deliveries.create(StandingDelivery(), msgspec.structs.replace(CREATED, destinations=destinations))
    assert refused.value.field == "destinations"
    with pytest.raises(InvalidInput):
        standing_deliveries.change(after(CREATED), destinations=destinations)


def test_it_concerns_what_arrives_after_its_creation_and_not_during_a_pause() -> None:
    rule = after(CREATED)
    assert (rule.concerns(1), rule.concerns(2)) == (False, True)
    assert not after(CREATED, changed("a", paused=True)).concerns(10)
    resumed = after(CREATED, changed("a", paused=True), changed("a"))
    assert (resumed.concerns(3), resumed.concerns(4)) == (False, True)
    renamed = after(CREATED, changed("b", name="Theirs"))
    assert renamed.concerns(2), "a change that ends no pause moves nothing"
    assert not StandingDelivery().concerns(10)


def test_a_change_leaves_the_rest_as_it_is_and_the_same_again_changes_nothing() -> None:
    rule = after(CREATED)
    assert standing_deliveries.change(rule, paused=True) == (changed("a", paused=True),)
    assert standing_deliveries.change(rule, name="Theirs") == (changed("a", name="Theirs"),)
    assert standing_deliveries.change(rule, destinations=("b",)) == (changed("b"),)
    assert standing_deliveries.change(rule, name="Ours", destinations=("a",), paused=False) == ()


def test_it_ends_once_and_changes_no_more() -> None:
    assert standing_deliveries.end(after(CREATED)) == (DeliveryRuleEnded(),)
    over = after(CREATED, DeliveryRuleEnded())
    assert standing_deliveries.end(over) == ()
    assert not over.concerns(10)
    with pytest.raises(NotAllowedNow):
        standing_deliveries.change(over, paused=True)


def test_the_list_holds_those_that_have_not_ended_oldest_first() -> None:
    history = recorded(
        DeliveryRuleListed(id="b"), DeliveryRuleListed(id="a"), DeliveryRuleListed(id="c"), DeliveryRuleUnlisted(id="a")
    )
    assert standing_deliveries.listed(history) == ("b", "c")
