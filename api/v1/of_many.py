"""Calls that do one thing to all transfers or copies of an observation or a destination."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litestar import Response

from api.serving import AnyRequest, cause, in_thread, serving_of
from api.v1.answers import json_answer


async def do_to_all(
    request: AnyRequest, command: Callable[..., Any], owner: str, told_as: str, *, status: int = 200
) -> Response[bytes]:
    """Give a command of `(log, lookup, clock, cause, principal, owner)` and tell its result under a name."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    core = serving.core
    why = cause(principal, "api")
    done = await in_thread(command, core.log, core.lookups, core.clock, why, principal, owner)
    serving.gate.wrote(principal.username, await in_thread(core.log.head))
    return json_answer({told_as: done}, status=status)
