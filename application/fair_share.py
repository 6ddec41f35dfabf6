"""Who gets the next place of a worker: a slow destination never has them all (S59)."""

from __future__ import annotations

from collections.abc import Mapping


def places_for(concurrency: int) -> int:
    """How many transfers a worker carries in all, when one destination is to get `concurrency` of them."""
    return 2 * concurrency


def may_begin(running: Mapping[str, int], destination: str, places: int) -> bool:
    """Whether one more transfer to `destination` may begin beside those that run, by destination.

    Each destination gets at most half of what the others leave: one alone has half of the places, a second half of the
    rest, and so on. However many of its transfers hang, a place is left for somebody else. (Packet switches share
    their memory in this way: Choudhury and Hahne, "Dynamic Queue Length Thresholds", 1998.)
    """
    mine = running.get(destination, 0)
    others = sum(running.values()) - mine
    return 2 * mine < places - others
