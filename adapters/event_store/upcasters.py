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
    topic: str, schema: int, current: int, data: dict[str, Any], steps: Mapping[tuple[str, int], Upcaster]
) -> dict[str, Any]:
    """Bring `data` from `schema` to `current`. Raises ValueError when that can't be done."""
    if schema > current:
        raise ValueError(f"a newer program wrote it (schema {schema}; this one knows {current})")
    for reads in range(schema, current):
        step = steps.get((topic, reads))
        if step is None:
            raise ValueError(f"the upcaster from schema {reads} is missing")
        data = step(data)
    return data
