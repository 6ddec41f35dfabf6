"""How hard the state machines search: a little, and the same, in each run of the suite; much in `make properties`."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("PROPERTY_TIMES", "1"))


def searching(few: int, steps: int) -> settings:
    """As many examples as the suite tries, of so many steps; `make properties` tries other ones each time."""
    return settings(
        max_examples=few * TIMES,
        stateful_step_count=steps,
        derandomize=TIMES == 1,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
