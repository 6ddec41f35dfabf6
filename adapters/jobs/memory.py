"""Where a worker's threads take their memory from."""

from __future__ import annotations

import contextlib
import ctypes

_M_ARENA_MAX = -8


def share_one_arena() -> None:
    """Let all threads that begin from now on take memory from one place, which the C library of most systems (glibc)
    doesn't by itself: each keeps the chunks that it has sent, and a worker that carries one transfer after another
    would keep those of all its threads. (Benchmark: delivery, memory of a running transfer.)"""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
