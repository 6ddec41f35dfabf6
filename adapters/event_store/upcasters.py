"""How stored events of older schemas become today's.

One entry a step: (topic, schema it reads) → function of the event's JSON object. Steps are chained, so an event of
schema 1 passes 1→2, 2→3 and so on. Entries are never removed: the log is for ever. The corpus in
tests/golden/events holds one stored sample of every schema ever released.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}


def upcast(
    topic: str, schema: int, current: int, data: dict[str, Any], steps: Mapping[tuple[str, int], Upcaster] = UPCASTERS
) -> dict[str, Any]:
    """Bring `data` from `schema` to `current`. Raises KeyError when a step is missing."""
    while schema < current:
        data = steps[(topic, schema)](data)
        schema += 1
    return data
