"""The server's settings: PostgreSQL's defaults where they serve, ours where they don't."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from domain.errors import Misconfigured

MIB = 1024 * 1024
# Containers get 64 MiB of /dev/shm unless told otherwise, which one parallel hash join can outgrow.
LEAST_POSIX_SHARED_MEMORY = 256 * MIB
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\Z")
_MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def memory_of_this_machine() -> int:
    """Bytes of memory that we may use: the machine's, or the container's limit where that is lower."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for limit in _MEMORY_LIMITS:
        try:
            memory = min(memory, int(limit.read_text()))
        except (OSError, ValueError):
            continue
    return memory


def server_settings(memory: int, overrides: Mapping[str, str]) -> dict[str, str]:
    """Settings for a machine with `memory` bytes. `overrides` win."""
    return {
        "listen_addresses": "",
        "max_connections": "100",
        "shared_buffers": _mebibytes(memory // 16, 128, 1024),
        "effective_cache_size": _mebibytes(memory // 2, 512, 1024 * 1024),
        "maintenance_work_mem": _mebibytes(memory // 32, 64, 512),
        "work_mem": "16MB",
        "dynamic_shared_memory_type": _dynamic_shared_memory(),
        "fsync": "on",
        "synchronous_commit": "on",
        "max_wal_size": "4GB",
        # Of the methods only pglz is in this build, and that costs more of two cores than the log volume is worth.
        "wal_compression": "off",
        "random_page_cost": "1.1",
        "jit": "off",
        "autovacuum": "on",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
        "logging_collector": "on",
        "log_directory": "log",
        # One file a weekday, begun anew after a week.
        "log_filename": "postgres-%a.log",
        "log_truncate_on_rotation": "on",
        "log_rotation_age": "1d",
        "log_rotation_size": "0",
        **overrides,
    }


def as_configuration(settings: Mapping[str, str]) -> str:
    """The text of a configuration file. Raises Misconfigured for a name that can't be a setting's."""
    lines = ["# Written anew at every start; put settings of your own into postgresql.conf, which wins."]
    for name, value in settings.items():
        if not _NAME.match(name) or "\n" in value or "\0" in value:
            raise Misconfigured(f"{name!r} can't be set in PostgreSQL: mend its name or its value.")
        quoted = value.replace("\\", "\\\\").replace("'", "''")
        lines.append(f"{name} = '{quoted}'")
    return "\n".join(lines) + "\n"


def _mebibytes(amount: int, least: int, most: int) -> str:
    return f"{min(max(amount // MIB, least), most)}MB"


def _dynamic_shared_memory() -> str:
    try:
        room = os.statvfs("/dev/shm")  # noqa: S108 - asked for its size only
    except OSError:
        return "sysv"
    return "posix" if room.f_blocks * room.f_frsize >= LEAST_POSIX_SHARED_MEMORY else "sysv"
