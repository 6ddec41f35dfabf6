"""What happens in one simulation, as text: steps of the workload and the weather at their times, and injected faults.

A plan that a seed makes has no list of faults: they come by chance, and are written down as they come. A plan with a
list has exactly these, so that parts can be left out to see whether the failure needs them.
"""

from __future__ import annotations

import msgspec


class Plan(msgspec.Struct, frozen=True):
    """`steps` are `@<second> <words>`, or `^<number> <words>` for what comes when the copy of this number has just been
    delivered; `faults` are `<task>:<call>=<kind>`, None where chance decides."""

    seed: int
    steps: tuple[str, ...]
    faults: tuple[str, ...] | None = None

    def text(self) -> str:
        """One line that `--replay` understands."""
        faults = "*" if self.faults is None else ";".join(self.faults)
        return f"{self.seed}|{';'.join(self.steps)}|{faults}"

    @staticmethod
    def read(text: str) -> Plan:
        """The plan that a line tells."""
        seed, steps, faults = text.strip().split("|")
        listed = tuple(part for part in faults.split(";") if part)
        return Plan(int(seed), tuple(part for part in steps.split(";") if part), None if faults == "*" else listed)

    def items(self) -> list[str]:
        """All that can be left out."""
        return [*self.steps, *(self.faults or ())]

    def only(self, items: list[str]) -> Plan:
        """The plan with nothing but these."""
        kept = set(items)
        faults = tuple(fault for fault in self.faults or () if fault in kept)
        return Plan(self.seed, tuple(step for step in self.steps if step in kept), faults)
