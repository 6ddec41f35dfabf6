"""Who gets the next place of a worker: a slow destination never has them all (S59)."""

from __future__ import annotations

from collections.abc import Mapping

TOGETHER, TOGETHER_BYTES = 16, 24 * 1024 * 1024
"""Files of one destination that a worker's thread takes at a time, at most, and their bytes. A larger file is worth a
trip of its own: its bookkeeping is little beside its bytes."""


def places_for(concurrency: int) -> int:
    """How many transfers a worker carries in all, when one destination is to get `concurrency` of them."""
    return 2 * concurrency


def sharers(places: int) -> int:
    """How many of a worker's threads carry to one destination when it is alone."""
    return max(1, places // 2)


def may_begin(running: Mapping[str, int], destination: str, places: int) -> bool:
    """Whether one more transfer to `destination` may begin beside those that run, by destination.

    Each destination gets at most half of what the others leave: one alone has half of the places, a second half of the
    rest, and so on. However many of its transfers hang, a place is left for somebody else. (Packet switches share
    their memory in this way: Choudhury and Hahne, "Dynamic Queue Length Thresholds", 1998.)
    """
    mine = running.get(destination, 0)
    others = sum(running.values()) - mine
    return 2 * mine < places - others
