"""`/api/v1/observations`."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response, get, patch, post
from litestar.params import FromPath

from adapters.ids import new_id
from api.read_gate import HEADER
from api.serving import AnyRequest, cause, in_thread, serving_of
from api.v1.answers import body_of, json_answer, listing, window
from api.v1.of_many import do_to_all
from application.commands.checks import check_observation
from application.commands.observations import (
    NewObservation,
    resubmit_observation,
    select_destinations,
    submit_observation,
)
from application.commands.transfers import retry_failed_of_observation
from application.permissions import must_be_known
from domain.errors import NotFound

MOST_TRANSFERS = 1000
"""More are paged through at `/transfers?observation=…`."""


class ObservationBody(msgspec.Struct, forbid_unknown_fields=True):
    """What an owner sends."""

    name: str
    observation_id: int | None = None
    project: str = ""
    target: str = ""
    destinations: tuple[str, ...] = ()


class ResubmitBody(msgspec.Struct, forbid_unknown_fields=True):
    """The number of the new one, where the scheduler has given it one."""

    observation_id: int | None = None


class DestinationsBody(msgspec.Struct, forbid_unknown_fields=True):
    """Where the files go from now on."""

    destinations: tuple[str, ...]


@get("/observations")
async def list_observations(request: AnyRequest) -> Response[bytes]:
    """The asker's observations, newest first."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    must_be_known(viewer)
    below, limit = window(request)
    rows = await serving.deliveries.observations(viewer, below=below, limit=limit + 1)
    return listing([_shown(row) for row in rows], limit, [row["number"] for row in rows])


@get("/observations/{observation:str}")
async def observation_detail(request: AnyRequest, observation: FromPath[str]) -> Response[bytes]:
    """One observation with the transfers of its files, newest first, a thousand at most."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    must_be_known(viewer)
    below, _ = window(request)
    rows = await serving.find(
        lambda: serving.deliveries.observations(viewer, below=below, limit=1, observation=observation)
    )
    if not rows:
        raise NotFound("There is no such observation.")
    transfers = await serving.deliveries.transfers(
        viewer, {"observation": observation}, below=below, limit=MOST_TRANSFERS
    )
    return json_answer({**_shown(rows[0]), "transfers": [_shown(row) for row in transfers]})


@post("/observations")
async def create_observation(request: AnyRequest) -> Response[bytes]:
    """Submit an observation with its destinations."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    must_be_known(principal)
    body = await body_of(request, ObservationBody)
    core = serving.core
    new = NewObservation(
        name=body.name,
        code=new_id("obs"),
        observation_id=body.observation_id,
        project=body.project,
        target=body.target,
        destinations=body.destinations,
    )
    observation = await in_thread(submit_observation, core.log, core.clock, cause(principal, "api"), principal, new)
    position = await in_thread(core.log.head)
    serving.gate.wrote(principal.username, position)
    answer = {**msgspec.structs.asdict(body), "id": observation, "owner": principal.username}
    return json_answer(answer, status=201, headers={HEADER: str(position)})


@patch("/observations/{observation:str}")
async def change_destinations(request: AnyRequest, observation: FromPath[str]) -> Response[bytes]:
    """Select other destinations; files that arrived before are delivered there too."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    must_be_known(principal)
    body = await body_of(request, DestinationsBody)
    core = serving.core
    position = await in_thread(
        select_destinations, core.log, core.clock, cause(principal, "api"), principal, observation, body.destinations
    )
    serving.gate.wrote(principal.username, position)
    answer = {"id": observation, "destinations": body.destinations}
    return json_answer(answer, headers={HEADER: str(position)})


@post("/observations/{observation:str}/resubmit")
async def resubmit(request: AnyRequest, observation: FromPath[str]) -> Response[bytes]:
    """Submit another observation like this one, with its destinations."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    must_be_known(principal)
    body = await body_of(request, ResubmitBody)
    core = serving.core
    why = cause(principal, "api", f"like observation {observation}")
    made, new = await in_thread(
        resubmit_observation, core.log, core.clock, why, principal, observation, new_id("obs"), body.observation_id
    )
    position = await in_thread(core.log.head)
    serving.gate.wrote(principal.username, position)
    answer = {**msgspec.structs.asdict(new), "id": made, "owner": principal.username}
    del answer["code"]
    return json_answer(answer, status=201, headers={HEADER: str(position)})


@post("/observations/{observation:str}/retry-failed", status_code=200)
async def retry_failed(request: AnyRequest, observation: FromPath[str]) -> Response[bytes]:
    """Queue all failed transfers of this observation's files again."""
    return await do_to_all(request, retry_failed_of_observation, observation, "retried")


@post("/observations/{observation:str}/verify", status_code=202)
async def verify_copies(request: AnyRequest, observation: FromPath[str]) -> Response[bytes]:
    """Have all copies of its files checked; what is found comes with each transfer."""
    return await do_to_all(request, check_observation, observation, "checking", status=202)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "number"}
