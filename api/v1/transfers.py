"""`/api/v1/transfers`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from api.serving import AnyRequest, cause, in_thread, serving_of
from api.v1.answers import json_answer, listing, window
from application.commands.checks import check_transfer
from application.commands.transfers import cancel_transfer, clear_transfer, retry_transfer
from application.permissions import must_be_known
from domain.errors import InvalidInput, NotFound, RetryLater

FILTERS = ("observation", "storage_config", "status", "frame", "content", "copy")
STATUSES = ("pending", "in_progress", "completed", "failed", "cancelled")
COPIES = ("verified", "missing", "changed")


@get("/transfers")
async def list_transfers(request: AnyRequest) -> Response[bytes]:
    """Transfers of the asker's observations and destinations, newest first."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    must_be_known(viewer)
    filters = {name: request.query_params[name] for name in FILTERS if request.query_params.get(name)}
    if filters.get("status", "pending") not in STATUSES:
        raise InvalidInput(f"status is one of {', '.join(STATUSES)}.", field="status")
    if filters.get("copy", "missing") not in COPIES:
        raise InvalidInput(f"copy is one of {', '.join(COPIES)}.", field="copy")
    below, limit = window(request)
    rows = await serving.deliveries.transfers(viewer, filters, below=below, limit=limit + 1)
    return listing([_shown(row) for row in rows], limit, [row["number"] for row in rows])


@get("/transfers/{transfer:str}")
async def transfer_detail(request: AnyRequest, transfer: FromPath[str]) -> Response[bytes]:
    """One transfer."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    must_be_known(viewer)
    rows = await serving.find(lambda: serving.deliveries.transfers(viewer, {}, below=2**62, limit=1, transfer=transfer))
    if not rows:
        raise NotFound("There is no such transfer.")
    return json_answer(_shown(rows[0]))


@post("/transfers/{transfer:str}/retry", status_code=200)
async def retry(request: AnyRequest, transfer: FromPath[str]) -> Response[bytes]:
    """Queue a failed transfer again, with a fresh attempt counter; or one whose copy is missing."""
    return await _command(request, transfer, retry_transfer)


@post("/transfers/{transfer:str}/cancel", status_code=200)
async def cancel(request: AnyRequest, transfer: FromPath[str]) -> Response[bytes]:
    """Cancel a transfer that is pending or running."""
    return await _command(request, transfer, cancel_transfer)


@post("/transfers/{transfer:str}/verify", status_code=202)
async def verify(request: AnyRequest, transfer: FromPath[str]) -> Response[bytes]:
    """Have the copy checked: is it still there and unchanged? The answer comes with the transfer, a moment later."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    must_be_known(viewer)
    look = serving.deliveries.transfers
    if not await serving.find(lambda: look(viewer, {}, below=2**62, limit=1, transfer=transfer)):
        raise NotFound("There is no such transfer.")  # nor a record that could show what is found
    return await _command(request, transfer, check_transfer, status=202)


@post("/transfers/{transfer:str}/clear", status_code=204)
async def clear(request: AnyRequest, transfer: FromPath[str]) -> None:
    """Take a failed transfer, or one whose copy is lost, out of the lists. It can still be retried."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    core = serving.core
    position = await in_thread(clear_transfer, core.log, core.clock, cause(principal, "api"), principal, transfer)
    serving.gate.wrote(principal.username, position)


async def _command(
    request: AnyRequest, transfer: str, command: Callable[..., int], *, status: int = 200
) -> Response[bytes]:
    serving = serving_of(request)
    principal = await serving.viewer(request)
    core = serving.core
    position = await in_thread(command, core.log, core.clock, cause(principal, "api"), principal, transfer)
    serving.gate.wrote(principal.username, position)
    await serving.gate.settle(principal.username)
    rows = await serving.find(
        lambda: serving.deliveries.transfers(principal, {}, below=2**62, limit=1, transfer=transfer)
    )
    if not rows:
        raise RetryLater("It is done, but the read models are far behind; look again in a moment.")
    return json_answer(_shown(rows[0]), status=status)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "number"}
