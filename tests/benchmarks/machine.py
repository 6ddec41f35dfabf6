"""What the machine says of processes: CPU time, memory, load. Linux's /proc."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def load() -> float:
    """The load average of the last minute."""
    return os.getloadavg()[0]


def tree_seconds(roots: Mapping[str, int]) -> dict[str, float]:
    """CPU seconds that each process and its descendants have used, ended ones that were waited for included."""
    parent: dict[int, int] = {}
    used: dict[int, float] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        try:
            fields = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parent[int(entry)] = int(fields[1])
        used[int(entry)] = sum(map(int, fields[11:15])) / TICKS
    totals = dict.fromkeys(roots, 0.0)
    names = {pid: name for name, pid in roots.items()}
    for pid, seconds in used.items():
        at: int | None = pid
        while at and at not in names:
            at = parent.get(at)
        if at:
            totals[names[at]] += seconds
    return totals


def busy_seconds() -> float:
    """CPU seconds that all cores together have been busy since the start of the machine."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS


def resident(pid: int) -> int:
    """Bytes of memory that a process has now."""
    return _status(pid, "VmRSS")


def proportional(pid: int) -> int:
    """Bytes of memory that a process has now; what it shares with others counts in parts (PSS)."""
    for line in Path("/proc", str(pid), "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def peak(pid: int) -> int:
    """The most bytes that a process has had since `reset_peak`."""
    return _status(pid, "VmHWM")


def reset_peak(pid: int) -> None:
    """Let `peak` begin anew."""
    Path("/proc", str(pid), "clear_refs").write_text("5")


def _status(pid: int, field: str) -> int:
    for line in Path("/proc", str(pid), "status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


class Meter:
    """CPU seconds of process trees, of us and of others, from its making to `stop`."""

    def __init__(self, roots: Mapping[str, int]) -> None:
        self._roots = {"": os.getpid(), **roots}
        self._begun, self._busy, self._trees = time.perf_counter(), busy_seconds(), tree_seconds(self._roots)
        self.foreign = 0.0

    def stop(self) -> dict[str, float]:
        """CPU seconds by name; `foreign` is then the number of cores that others kept busy."""
        elapsed = time.perf_counter() - self._begun
        now = tree_seconds(self._roots)
        used = {name: max(0.0, now[name] - self._trees[name]) for name in now}  # a process may have ended
        self.foreign = max(0.0, (busy_seconds() - self._busy - sum(used.values())) / elapsed)
        return {name: seconds for name, seconds in used.items() if name}
