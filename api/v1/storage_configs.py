"""`/api/v1/storage-configs`. An answer never holds a secret: only which credentials are set."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import FromPath
from msgspec import UNSET, UnsetType

from adapters.ids import new_id
from api.read_gate import HEADER
from api.serving import AnyRequest, Serving, cause, in_thread, in_thread_of, serving_of
from api.v1.answers import body_of, json_answer, listing, window
from api.v1.of_many import do_to_all
from application.access import manage_config
from application.commands.checks import check_config
from application.commands.storage_configs import (
    ConfigChange,
    NewStorageConfig,
    create_storage_config,
    delete_storage_config,
    edit_storage_config,
    test_storage_config,
)
from application.commands.transfers import clear_failed_of_config, retry_failed_of_config
from application.permissions import Principal, must_be_known
from domain.errors import Conflict, NotFound
from domain.storage_configs import FileContent, Provider, Scope, Settings


class ConfigBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A new configuration as it is sent."""

    provider: Provider
    display_name: str
    credentials: dict[str, str] = {}
    scope: Scope = "personal"
    scope_id: str = ""
    destination_path: str = "/"
    path_template: str = ""
    file_content: FileContent = "raw"
    delete_from_server: bool = False
    max_transfers: int | None = None
    max_bytes_per_second: int | None = None
    enabled: bool = True
    comment: str = ""


class ConfigPatch(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An edit as it is sent: what is left out stays."""

    provider: Provider | UnsetType = UNSET
    display_name: str | UnsetType = UNSET
    credentials: dict[str, str] = {}
    destination_path: str | UnsetType = UNSET
    path_template: str | UnsetType = UNSET
    file_content: FileContent | UnsetType = UNSET
    delete_from_server: bool | UnsetType = UNSET
    max_transfers: int | UnsetType | None = UNSET
    max_bytes_per_second: int | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    comment: str | UnsetType = UNSET


_SETTINGS = Settings.__struct_fields__


@get("/storage-configs")
async def list_configs(request: AnyRequest) -> Response[bytes]:
    """The configurations that the asker may see: their own, and those of their organizations and projects."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    must_be_known(viewer)
    below, limit = window(request)
    rows = await serving.deliveries.configs(viewer, below=below, limit=limit + 1)
    shown = [await _shown(serving, row) for row in rows]
    return listing(shown, limit, [row["number"] for row in rows])


@get("/destinations")
async def selectable_configs(request: AnyRequest) -> Response[bytes]:
    """What the asker can select for an observation of `?project=` (a project's id), grouped by scope (S09)."""
    serving = serving_of(request)
    viewer = await serving.viewer(request)
    must_be_known(viewer)
    groups: dict[str, list[dict[str, Any]]] = {"personal": [], "organization": [], "project": []}
    for row in await serving.deliveries.selectable(viewer, request.query_params.get("project", "")):
        groups[row["scope"]].append(
            {
                "id": row["id"],
                "display_name": row["settings"]["display_name"],
                "provider": row["provider"],
                "scope": row["scope"],
                "scope_id": row["scope_id"],
                "destination_path": row["settings"].get("destination_path", "/"),
                "deletes_from_server": row["settings"].get("delete_from_server", False),
            }
        )
    return json_answer(groups)


@get("/storage-configs/{config_id:str}")
async def config_detail(request: AnyRequest, config_id: FromPath[str]) -> Response[bytes]:
    """One configuration: the card of S63."""
    serving = serving_of(request)
    return json_answer(await _card(serving, await serving.viewer(request), config_id))


@post("/storage-configs")
async def create_config(request: AnyRequest) -> Response[bytes]:
    """A new destination."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    must_be_known(principal)
    body = await body_of(request, ConfigBody)
    new = NewStorageConfig(
        id=new_id("cfg"),
        provider=body.provider,
        settings=Settings(**{name: getattr(body, name) for name in _SETTINGS}),
        credentials=body.credentials,
        scope=body.scope,
        scope_id=body.scope_id,
        enabled=body.enabled,
    )
    core = serving.core
    why = cause(principal, "api")
    position = await in_thread(
        create_storage_config, core.log, core.vault, core.clock, why, principal, new, core.destinations
    )
    return await _written(serving, principal, new.id, position, 201)


@patch("/storage-configs/{config_id:str}")
async def edit_config(request: AnyRequest, config_id: FromPath[str]) -> Response[bytes]:
    """Change settings or credentials; empty credential fields keep the stored ones."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    must_be_known(principal)
    body = await body_of(request, ConfigPatch)
    core = serving.core
    config = await in_thread(manage_config, core.log, principal, config_id)
    if body.provider is not UNSET and body.provider != config.provider:
        raise Conflict("The provider of a storage configuration can't change; create another one.")
    change = ConfigChange(
        settings={name: getattr(body, name) for name in _SETTINGS if getattr(body, name) is not UNSET},
        credentials=body.credentials,
        enabled=None if body.enabled is UNSET else body.enabled,
    )
    why = cause(principal, "api")
    position = await in_thread(
        edit_storage_config, core.log, core.vault, core.clock, why, principal, config_id, change, core.destinations
    )
    return await _written(serving, principal, config_id, position, 200)


@delete("/storage-configs/{config_id:str}", status_code=204)
async def delete_config(request: AnyRequest, config_id: FromPath[str]) -> None:
    """Delete a configuration and destroy its secrets; transfers that had not started are cancelled."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    core = serving.core
    why = cause(principal, "api")
    position = await in_thread_of(
        serving.calls.consents,
        delete_storage_config,
        core.log,
        core.vault,
        core.clock,
        why,
        principal,
        config_id,
        core.consents,
        core.lookups,
    )
    serving.gate.wrote(principal.username, position)


@post("/storage-configs/{config_id:str}/test", status_code=200)
async def test_config(request: AnyRequest, config_id: FromPath[str]) -> Response[bytes]:
    """Try the destination: credentials, path, upload of a tiny probe."""
    serving = serving_of(request)
    principal = await serving.viewer(request)
    core = serving.core
    why = cause(principal, "api")
    await in_thread(manage_config, core.log, principal, config_id)  # nobody else learns that it is being tested
    with serving.calls.testing(config_id, principal.username):
        checks = await in_thread_of(
            serving.calls.tests,
            test_storage_config,
            core.log,
            core.vault,
            core.clock,
            why,
            principal,
            config_id,
            core.destinations,
        )
    serving.gate.wrote(principal.username, await in_thread(core.log.head))
    return json_answer({"ok": all(check.ok for check in checks), "checks": checks, "tested_at": core.clock.now()})


@post("/storage-configs/{config_id:str}/retry-failed", status_code=200)
async def retry_failed(request: AnyRequest, config_id: FromPath[str]) -> Response[bytes]:
    """Queue all failed transfers of this destination again."""
    return await do_to_all(request, retry_failed_of_config, config_id, "retried")


@post("/storage-configs/{config_id:str}/clear-failed", status_code=200)
async def clear_failed(request: AnyRequest, config_id: FromPath[str]) -> Response[bytes]:
    """Take all failed transfers of this destination out of the lists."""
    return await do_to_all(request, clear_failed_of_config, config_id, "cleared")


@post("/storage-configs/{config_id:str}/verify", status_code=202)
async def verify_copies(request: AnyRequest, config_id: FromPath[str]) -> Response[bytes]:
    """Have all copies at this destination checked; what is found comes with each transfer."""
    return await do_to_all(request, check_config, config_id, "checking", status=202)


async def _written(
    serving: Serving, principal: Principal, config_id: str, position: int, status: int
) -> Response[bytes]:
    serving.gate.wrote(principal.username, position)
    headers = {HEADER: str(position)}
    if not await serving.gate.reached(position):  # it is written all the same, and isn't to be sent again
        return json_answer({"id": config_id}, status=status, headers=headers)
    return json_answer(await _card(serving, principal, config_id), status=status, headers=headers)


async def _card(serving: Serving, viewer: Principal, config_id: str) -> dict[str, Any]:
    must_be_known(viewer)
    rows = await serving.find(lambda: serving.deliveries.configs(viewer, below=2**62, limit=1, config=config_id))
    if not rows:
        raise NotFound("There is no such storage configuration.")
    return await _shown(serving, rows[0])


async def _shown(serving: Serving, row: dict[str, Any]) -> dict[str, Any]:
    card = {name: value for name, value in row.items() if name not in ("number", "settings")}
    set_ = await in_thread(serving.core.vault.names, row["id"])
    return {**row["settings"], **card, "credentials_set": sorted(set_)}
