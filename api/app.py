"""The HTTP application: the OCS surface at the root, our own API below /api/v1."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from litestar import Litestar, Response, Router
from litestar.config.cors import CORSConfig
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from api import files, health
from api.bootstrap import open_core
from api.ocs import answers, frames, other
from api.serving import AnyRequest, open_serving
from api.settings import Settings
from api.v1 import audit, ingest, observations, problems, storage_configs, transfers

logger = structlog.get_logger()

MAX_BODY = 32 * 1024 * 1024
"""Largest JSON body. A frame's record with headers has some 10 kB; files are streamed and not bound by this."""

OWN_API = Router(
    "/api/v1",
    route_handlers=[
        ingest.ingest,
        ingest.calibration,
        observations.list_observations,
        observations.observation_detail,
        observations.create_observation,
        observations.change_destinations,
        storage_configs.list_configs,
        storage_configs.config_detail,
        storage_configs.create_config,
        storage_configs.edit_config,
        storage_configs.delete_config,
        storage_configs.test_config,
        storage_configs.retry_failed,
        transfers.list_transfers,
        transfers.transfer_detail,
        transfers.retry,
        transfers.cancel,
        audit.audit,
        audit.events,
    ],
    exception_handlers={**problems.EXCEPTION_HANDLERS},
)
OCS = [
    other.root,
    other.list_versions,
    other.version_detail,
    other.profile,
    other.health,
    other.robots,
    frames.router,
    files.download,
    health.alive,
    health.ready,
    health.metrics,
]


def create_app(settings: Settings, conninfo: str) -> Litestar:
    """The application of one API process, on a database that is up to date."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        with open_core(settings, conninfo) as core:
            async with open_serving(core) as serving:
                app.state.serving = serving
                yield

    return Litestar(
        route_handlers=[*OCS, OWN_API],
        lifespan=[lifespan],
        exception_handlers={**answers.EXCEPTION_HANDLERS, Exception: _unexpected},
        cors_config=CORSConfig(
            allow_origins=["*"],
            allow_methods=["DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT"],
            allow_headers=["accept", "authorization", "content-type", "user-agent", "x-csrftoken", "x-requested-with"],
            max_age=86400,
        ),
        openapi_config=OpenAPIConfig(
            title="Starferry", version="1", path="/api/v1", render_plugins=[JsonRenderPlugin(path="/openapi.json")]
        ),
        request_max_body_size=MAX_BODY,
        logging_config=None,
    )


def _unexpected(request: AnyRequest, error: Exception) -> Response[Any]:
    """A bug: the whole story to the log, none of it to the client."""
    logger.exception("request failed", method=request.method, path=request.url.path, exc_info=error)
    return answers.detail(500, "The server met an error that it didn't expect; it has been logged.")


def configure_logging(level: str) -> None:
    """Structured logs on standard error: readable on a terminal, JSON elsewhere."""
    import sys

    renderer: Any = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
