"""Deliveries of what is in the archive already described."""

from __future__ import annotations

from api.openapi import Answer, Body, Operation, ref
from api.v1.description_parts import problem


def deliveries() -> list[Operation]:
    """Backfill."""
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
    ]
