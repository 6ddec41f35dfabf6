"""`/api/v1/organizations` and `/api/v1/projects`: the same calls for both kinds of group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from litestar import Response, Router, delete, get, patch, post, put
from litestar.params import FromPath

from adapters.ids import new_id
from api.read_gate import HEADER
from api.serving import AnyRequest, Serving, cause, in_thread, serving_of
from api.v1.answers import body_of, json_answer, listing, window
from application.commands.groups import (
    create_group,
    delete_group,
    remove_member,
    rename_group,
    set_member,
    transfer_ownership,
)
from application.permissions import Principal, must_be_known
from domain.errors import NotFound
from domain.groups import PERMISSIONS, GroupKind

T = TypeVar("T")
PREFIXES: dict[GroupKind, str] = {"organization": "org", "project": "prj"}


class GroupBody(msgspec.Struct, forbid_unknown_fields=True):
    """A new group. `organization` is the one that a project belongs to, if any."""

    name: str
    organization: str = ""


class NameBody(msgspec.Struct, forbid_unknown_fields=True):
    """Another name."""

    name: str


class MemberBody(msgspec.Struct, forbid_unknown_fields=True):
    """What a member may do."""

    permissions: tuple[str, ...] = ()


class OwnerBody(msgspec.Struct, forbid_unknown_fields=True):
    """Who is to own the group."""

    username: str


@get("/")
async def list_groups(request: AnyRequest) -> Response[bytes]:
    """The asker's groups, newest first."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    must_be_known(viewer)
    below, limit = window(request)
    rows = await serving.groups.groups(viewer, _kind(request), below=below, limit=limit + 1)
    return listing([_shown(row, viewer, _kind(request)) for row in rows], limit, [row["number"] for row in rows])


@get("/{group:str}")
async def group_detail(request: AnyRequest, group: FromPath[str]) -> Response[bytes]:
    """One group with its members."""
    serving = serving_of(request)
    return json_answer(await _card(serving, await serving.viewer(request), _kind(request), group))


@post("/")
async def found_group(request: AnyRequest) -> Response[bytes]:
    """Found a group; the asker owns it."""
    body = await _sent(request, GroupBody)
    group = new_id(PREFIXES[_kind(request)])
    return await _command(request, create_group, group, body.name, body.organization, status=201)


@patch("/{group:str}")
async def change_name(request: AnyRequest, group: FromPath[str]) -> Response[bytes]:
    """Call it something else."""
    return await _command(request, rename_group, group, (await _sent(request, NameBody)).name)


@delete("/{group:str}", status_code=204)
async def end_group(request: AnyRequest, group: FromPath[str]) -> None:
    """End it. 409 while storage configurations or projects belong to it."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    core = serving.core
    why = cause(principal, "api")
    position = await in_thread(delete_group, core.log, core.lookups, core.clock, why, principal, _kind(request), group)
    serving.gate.wrote(principal.username, position)


@put("/{group:str}/members/{username:str}")
async def put_member(request: AnyRequest, group: FromPath[str], username: FromPath[str]) -> Response[bytes]:
    """Make somebody a member with exactly these permissions."""
    body = await _sent(request, MemberBody)
    return await _command(request, set_member, group, username, body.permissions)


@delete("/{group:str}/members/{username:str}", status_code=204)
async def delete_member(request: AnyRequest, group: FromPath[str], username: FromPath[str]) -> None:
    """Remove a member, or leave."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    core = serving.core
    why = cause(principal, "api")
    position = await in_thread(remove_member, core.log, core.clock, why, principal, _kind(request), group, username)
    serving.gate.wrote(principal.username, position)


@post("/{group:str}/transfer-ownership", status_code=200)
async def hand_over(request: AnyRequest, group: FromPath[str]) -> Response[bytes]:
    """Make a member the owner; the former owner stays as a member."""
    return await _command(request, transfer_ownership, group, (await _sent(request, OwnerBody)).username)


async def _sent(request: AnyRequest, kind: type[T]) -> T:
    """The body of somebody who is known: others aren't told what is wrong with it."""
    must_be_known(await serving_of(request).viewer(request))
    return await body_of(request, kind)


async def _command(
    request: AnyRequest, command: Callable[..., int], group: str, *arguments: Any, status: int = 200
) -> Response[bytes]:
    serving = serving_of(request)
    principal = await serving.viewer(request)
    core, kind = serving.core, _kind(request)
    why = cause(principal, "api")
    position = await in_thread(command, core.log, core.clock, why, principal, kind, group, *arguments)
    serving.gate.wrote(principal.username, position)
    headers = {HEADER: str(position)}
    if not await serving.gate.reached(position):  # it is written all the same, and isn't to be sent again
        return json_answer({"id": group}, status=status, headers=headers)
    return json_answer(await _card(serving, principal, kind, group), status=status, headers=headers)


async def _card(serving: Serving, viewer: Principal, kind: GroupKind, group: str) -> dict[str, Any]:
    must_be_known(viewer)
    rows = await serving.find(lambda: serving.groups.groups(viewer, kind, below=2**62, limit=1, group=group))
    if not rows:
        raise NotFound(f"There is no such {kind}.")
    return _shown(rows[0], viewer, kind)


def _shown(row: dict[str, Any], viewer: Principal, kind: GroupKind) -> dict[str, Any]:
    """A group as its members see it, with what the viewer may do there."""
    mine: list[str] = next(
        (member["permissions"] for member in row["members"] if member["username"] == viewer.username), []
    )
    shown = {name: value for name, value in row.items() if name != "number"}
    if kind == "organization":
        del shown["organization"]
    return {**shown, "permissions": list(PERMISSIONS[kind]) if viewer.is_superuser else mine}


def _kind(request: AnyRequest) -> GroupKind:
    return "organization" if request.scope["path"].startswith("/api/v1/organizations") else "project"


_HANDLERS = [
    list_groups,
    group_detail,
    found_group,
    change_name,
    end_group,
    put_member,
    delete_member,
    hand_over,
]
organizations = Router("/organizations", route_handlers=_HANDLERS)
projects = Router("/projects", route_handlers=_HANDLERS)
