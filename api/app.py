"""The HTTP application: the OCS surface at the root, our own API below /api/v1."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import structlog
from litestar import Litestar, Response, Router
from litestar.exceptions import HTTPException
from litestar.types import Message, Scope

from api import files, health, thumbnail_files
from api.bootstrap import open_core
from api.fitting import refuse_misfits
from api.front_door import FrontDoor
from api.ocs import (
    aggregate,
    answers,
    frame_changes,
    frames,
    login,
    other,
    portal_push,
    session_pages,
    thumbnails,
    unpacked,
    zip_download,
)
from api.ocs import description as ocs_description
from api.ocs.negotiation import negotiate
from api.serving import AnyRequest, open_serving
from api.settings import Settings
from api.v1 import (
    audit,
    authorization,
    deliveries,
    description,
    events,
    groups,
    ingest,
    mail_notices,
    observations,
    previews,
    problems,
    standing_deliveries,
    states,
    storage_configs,
    transfer_events,
    transfers,
    webhooks,
)
from api.web import pages, reference
from api.web.console.router import CONSOLE
from domain.errors import RetryLater

logger = structlog.get_logger()

MAX_BODY = 32 * 1024 * 1024
"""Largest JSON body. A frame's record with headers has some 10 kB; files are streamed and not bound by this."""

MAX_PARTS = 100_000
"""Most fields of a multipart form: a zip download of many frames has one for each."""

OWN_PATH = "/api/v1"
OWN_API = Router(
    OWN_PATH,
    route_handlers=[
        description.description,
        ingest.ingest,
        ingest.calibration,
        observations.list_observations,
        observations.observation_detail,
        observations.create_observation,
        observations.change_destinations,
        observations.verify_copies,
        observations.resubmit,
        observations.retry_failed,
        storage_configs.list_configs,
        storage_configs.config_detail,
        storage_configs.create_config,
        storage_configs.edit_config,
        storage_configs.delete_config,
        storage_configs.test_config,
        authorization.authorize,
        storage_configs.retry_failed,
        storage_configs.verify_copies,
        storage_configs.clear_failed,
        storage_configs.selectable_configs,
        previews.preview,
        deliveries.deliver,
        standing_deliveries.list_rules,
        standing_deliveries.rule_detail,
        standing_deliveries.create_rule,
        standing_deliveries.change_rule,
        standing_deliveries.end_rule,
        groups.organizations,
        groups.projects,
        transfers.list_transfers,
        transfer_events.transfer_events,
        transfers.transfer_detail,
        transfers.retry,
        transfers.verify,
        transfers.clear,
        transfers.cancel,
        mail_notices.mail_choice,
        mail_notices.choose,
        mail_notices.forget,
        webhooks.list_webhooks,
        webhooks.create,
        webhooks.webhook_detail,
        webhooks.remove,
        webhooks.test,
        webhooks.deliveries,
        audit.search,
        audit.audit,
        states.state,
        events.events,
    ],
    before_request=problems.refuse_nul,
    exception_handlers={**problems.EXCEPTION_HANDLERS},
)
OCS = Router(
    "/",
    route_handlers=[
        other.root,
        other.list_versions,
        other.version_detail,
        other.profile,
        other.health,
        login.token_for_password,
        aggregate.aggregate,
        login.revoke_token,
        portal_push.add_or_update_user,
        session_pages.login_page,
        session_pages.log_in,
        session_pages.logout_page,
        session_pages.log_out,
        frames.router,
        frame_changes.router,
        thumbnails.router,
        zip_download.download,
        unpacked.funpack,
        unpacked.catalog,
    ],
    before_request=negotiate,
)
OTHERS: list[Any] = [
    other.robots,
    ocs_description.openapi,
    files.download,
    authorization.callback,
    thumbnail_files.picture,
    health.alive,
    health.ready,
    health.metrics,
    pages.style,
    reference.archive_reference,
    reference.own_reference,
]


def create_app(settings: Settings, conninfo: str) -> Litestar:
    """The application of one API process, on a database that is up to date."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        with open_core(settings, conninfo, serving=True) as core:
            async with open_serving(core) as serving:
                app.state.serving = serving
                yield

    app = Litestar(
        route_handlers=[OCS, *OTHERS, OWN_API, CONSOLE],
        lifespan=[lifespan],
        exception_handlers={**answers.EXCEPTION_HANDLERS, HTTPException: _framework, Exception: _unexpected},
        before_send=[_add_headers],
        guards=[refuse_misfits],
        openapi_config=None,
        request_max_body_size=MAX_BODY,
        multipart_form_part_limit=MAX_PARTS,
        logging_config=None,
    )
    app.asgi_handler = FrontDoor(app.asgi_handler)
    return app


def _unexpected(request: AnyRequest, error: Exception) -> Response[Any]:
    """A database that is away: try again. Else a bug: the whole story to the log, none of it to the client."""
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        away = RetryLater("The database can't be reached at the moment.")
        return problems.domain_error(request, away) if _is_own(request) else answers.domain_error(request, away)
    logger.exception("request failed", method=request.method, path=request.url.path, exc_info=error)
    message = "The server met an error that it didn't expect; it has been logged."
    if _is_own(request):
        return problems.problem(500, "Something went wrong", message)
    return answers.detail(500, message)


def _framework(request: AnyRequest, error: HTTPException) -> Response[Any]:
    """What the framework refuses before it knows the route: each surface in its own words."""
    return problems.http_error(request, error) if _is_own(request) else answers.http_error(request, error)


def _is_own(request: AnyRequest) -> bool:
    path = request.scope["path"]
    return path == OWN_PATH or path.startswith(OWN_PATH + "/")


HEADERS = [
    (b"vary", b"Accept, Authorization, Cookie, Origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
"""On every answer (contracts: 1.1)."""


FRAMEABLE = [header for header in HEADERS if header[0] != b"x-frame-options"]
"""On a zip download: the web client fetches it into a frame of its page (contracts: 1.10)."""


async def _add_headers(message: Message, scope: Scope) -> None:
    if message["type"] == "http.response.start":
        headers = FRAMEABLE if scope["path"].rstrip("/") == zip_download.PATH else HEADERS
        message["headers"] = [*((k, v) for k, v in message["headers"] if k.lower() != b"vary"), *headers]
