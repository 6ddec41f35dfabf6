"""What things were, described."""

from __future__ import annotations

from api.openapi import TEXT, TRUTH, Answer, Operation, Parameter, named, ref
from api.v1.description_parts import problem
from application.states import STATE_KINDS


def states() -> list[Operation]:
    """The states of things."""
    kinds = [kind.replace("_", "-") for kind in STATE_KINDS]
    return [
        Operation(
            method="get",
            path="/api/v1/audit/{kind}/{name}/state",
            tag="history",
            summary="What one thing was as of a position or a time; what it is now without either.",
            parameters=[
                Parameter("kind", {"type": "string", "enum": kinds}, where="path"),
                *named("name"),
                Parameter("at", TEXT, "A position of the log, or a time (UTC without an offset)."),
                Parameter("headers", TRUTH, "true: with a frame's headers."),
            ],
            answers={
                200: Answer("Its state.", ref("State")),
                404: problem("It doesn't exist, or didn't exist yet: the detail says which."),
            },
            who="known",
        ),
    ]
