"""Is it alive, is it ready, how is it doing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import MediaType, Response, get

from api.fitting import WHATEVER_VERSION
from api.ocs.answers import json_answer
from api.outbox import outbox_lag
from api.serving import AnyRequest, serving_of
from projections.builds import BUILDS, Build

ALWAYS = {WHATEVER_VERSION: True}
MOST_LAG = 10_000
"""Events that a read model may be behind before this process stops calling itself ready."""
QUEUED = """
SELECT (SELECT count(*) FROM procrastinate.procrastinate_jobs WHERE status = 'todo')
     + (SELECT count(*) FROM starferry.waiting_transfer)
"""
"""Counts what workers have yet to do: notices, and transfers that are or will be due."""


@get("/healthz", opt=ALWAYS)
async def alive() -> Response[bytes]:
    """The process answers."""
    return json_answer({"status": "ok"})


@get("/readyz", opt=ALWAYS)
async def ready(request: AnyRequest) -> Response[bytes]:
    """The database answers, and no read model has failed, fallen far behind, or is another release's."""
    state = await _state(request)
    checks = {
        "database": True,
        "projections": not state["failed"],
        "projection_lag": max(state["lag"].values(), default=0) <= MOST_LAG,
        "queue": state["queued"] is not None,
        "read_models": not serving_of(request).models.reason,
    }
    good = all(checks.values())
    outbox = await outbox_lag(serving_of(request))
    notes = {
        "broker": outbox.note if outbox else "No message broker is set."
    }  # its outage is no reason to send clients away
    return json_answer(
        {"ready": good, "checks": checks, "lag": state["lag"], "notes": notes}, status=200 if good else 503
    )


@get("/metrics", media_type=MediaType.TEXT, opt=ALWAYS)
async def metrics(request: AnyRequest) -> str:
    """Prometheus text format."""
    state = await _state(request)
    lines = ["# TYPE starferry_log_position gauge", f"starferry_log_position {state['head']}"]
    lines.append("# TYPE starferry_projection_lag_events gauge")
    lines += [f'starferry_projection_lag_events{{projection="{name}"}} {lag}' for name, lag in state["lag"].items()]
    lines += _build_lines(state["builds"])
    lines.append("# TYPE starferry_policy_position gauge")
    lines += [f'starferry_policy_position{{policy="{name}"}} {at}' for name, at in state["policies"].items()]
    lines.append("# TYPE starferry_transfers gauge")
    lines += [f'starferry_transfers{{status="{status}"}} {count}' for status, count in state["transfers"].items()]
    lines.append("# TYPE starferry_dead_letters gauge")
    lines.append(f"starferry_dead_letters {state['dead_letters']}")
    outbox = await outbox_lag(serving_of(request))
    if outbox:
        lines += ["# TYPE starferry_outbox_lag_events gauge", f"starferry_outbox_lag_events {outbox.events}"]
        lines += ["# TYPE starferry_outbox_lag_seconds gauge", f"starferry_outbox_lag_seconds {outbox.seconds:.3f}"]
    return "\n".join(lines) + "\n" + serving_of(request).metrics.text()


def _build_lines(found: Sequence[Build]) -> list[str]:
    """How far each build of a read model is, whichever process works on it."""
    if not found:
        return []
    gauges: dict[str, list[tuple[Build, float]]] = {
        "position": [(build, build.position) for build in found],
        "target": [(build, build.target) for build in found],
        "events_per_second": [(build, build.rate if build.running else 0) for build in found],
    }
    return [
        line
        for name, values in gauges.items()
        for line in (
            f"# TYPE starferry_build_{name} gauge",
            *(
                f'starferry_build_{name}{{projection="{build.name}",version="{build.version}"}} {value:.10g}'
                for build, value in values
            ),
        )
    ]


async def _state(request: AnyRequest) -> dict[str, Any]:
    async with serving_of(request).pool.connection() as connection:

        async def rows(statement: str) -> list[Any]:
            return await (await connection.execute(statement.encode())).fetchall()

        ((head,),) = await rows("SELECT coalesce(max(notification_id), 0) FROM starferry.starferry_events")
        projections = await rows("SELECT name, position, failure FROM starferry.projection ORDER BY name")
        builds = [Build(*row) for row in await rows(BUILDS)]
        policies = await rows("SELECT name, position FROM starferry.consumer ORDER BY name")
        transfers = await rows("SELECT status, count(*) FROM read_transfers.transfer GROUP BY 1")
        ((dead,),) = await rows("SELECT count(*) FROM starferry.dead_letter")
        ((queued,),) = await rows(QUEUED)
    return {
        "head": head,
        "lag": {name: max(0, head - position) for name, position, _ in projections},
        "failed": [name for name, _, failure in projections if failure],
        "builds": builds,
        "policies": {name.removeprefix("policy:"): position for name, position in policies},
        "transfers": dict(transfers),
        "dead_letters": dead,
        "queued": queued,
    }
