"""Deliveries of what is in the archive already, and of what is to come, described."""

from __future__ import annotations

from api.openapi import Answer, Body, Operation, named, ref
from api.v1.description_parts import POSITION, listed, problem


def deliveries() -> list[Operation]:
    """Backfill, and standing deliveries."""
    return [
        Operation(
            method="post",
            path="/api/v1/deliveries",
            tag="deliveries",
            summary="Request copies of what is in the archive already, or count them first.",
            description=(
                "Either of an observation's files or of what a query of `/frames/` finds for the asker; a bounded "
                "number of frames a call, go on with `next_cursor`. What was requested before is counted and left."
            ),
            body=Body(
                ref("DeliveryBody"),
                example={"storage_config": "cfg-1", "query": "site_id=coj&reduction_level=0", "dry_run": True},
            ),
            answers={
                200: Answer("What was requested, or would be.", ref("Delivered")),
                404: problem("There is no such observation."),
                409: problem("Others change the same frames all the time."),
            },
            who="known",
        ),
        *_standing(),
    ]


def _standing() -> list[Operation]:
    path = "/api/v1/standing-deliveries"
    one = named("standing_delivery")
    card = Answer("The standing delivery.", ref("RuleCard"))
    return [
        listed(path, "deliveries", "RuleCard", "The asker's standing deliveries, and those of their projects."),
        Operation(
            method="post",
            path=path,
            tag="deliveries",
            summary="Attach destinations to a query: frames that match are delivered as they arrive.",
            description="As far as its owner may see them then. What is there already: `POST /deliveries`.",
            body=Body(
                ref("RuleBody"),
                example={"name": "Our raw frames", "query": "proposal_id=P1&reduction_level=0", "destinations": ["c"]},
            ),
            answers={
                201: card,
                404: problem("There is no such project."),
                409: problem("There are as many as there may be."),
            },
            who="known",
        ),
        Operation(
            method="get",
            path=path + "/{standing_delivery}",
            tag="deliveries",
            summary="One standing delivery.",
            parameters=[*one, POSITION],
            answers={200: card},
            who="known",
        ),
        Operation(
            method="patch",
            path=path + "/{standing_delivery}",
            tag="deliveries",
            summary="Another name, other destinations, a pause or its end. What it selects never changes.",
            parameters=one,
            body=Body(ref("RulePatch"), example={"paused": True}),
            answers={200: card, 409: problem("It has ended.")},
            who="known",
        ),
        Operation(
            method="delete",
            path=path + "/{standing_delivery}",
            tag="deliveries",
            summary="End it. What it has requested goes on.",
            parameters=one,
            answers={204: Answer("It has ended."), 409: problem("Others change it all the time.")},
            who="known",
        ),
    ]
