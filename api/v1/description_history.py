"""What happened, described: histories, the search for events, and their feed."""

from __future__ import annotations

from api.openapi import MOMENT, TEXT, TRUTH, WHOLE, Answer, Operation, Parameter, array, named, nullable, record, ref
from api.v1.description_parts import PAGING, problem
from application.history import KINDS
from application.ports.audit import KINDS as TOPICS
from domain.event import VIAS

FILTERS = (
    Parameter(
        "kind",
        TEXT,
        f"Only these: topics such as `transfer.completed`, or their first words ({', '.join(TOPICS)}).",
        repeated=True,
    ),
    Parameter("actor", TEXT, "Only what this user, worker or policy did."),
    Parameter("via", {"type": "string", "enum": list(VIAS)}, "Only what came this way."),
    Parameter("stream", TEXT, "Only of this stream, such as `frame:<basename>`."),
    Parameter("correlation", TEXT, "Only what this request led to, by the `X-Request-ID` of its answer."),
    Parameter("since", MOMENT, "Not before this time."),
    Parameter("until", MOMENT, "Not after this time."),
)


def history() -> list[Operation]:
    """What happened."""
    return [*_audit(), _feed()]


def _audit() -> list[Operation]:
    kinds = [kind.replace("_", "-") for kind in KINDS]
    page = record({"results": array(ref("Entry")), "next_cursor": nullable(TEXT)})
    return [
        Operation(
            method="get",
            path="/api/v1/audit",
            tag="history",
            summary="Events by what surrounds them.",
            parameters=[*FILTERS, *PAGING],
            answers={200: Answer("A page, newest first.", page)},
            who="superuser",
        ),
        Operation(
            method="get",
            path="/api/v1/audit/{kind}/{name}",
            tag="history",
            summary="The history of one thing, up to a time if one is given.",
            parameters=[
                Parameter("kind", {"type": "string", "enum": kinds}, where="path"),
                *named("name"),
                Parameter("at", MOMENT, "Nothing later than this."),
            ],
            answers={200: Answer("Its events.", record({"kind": TEXT, "id": TEXT, "results": array(ref("Entry"))}))},
            who="known",
        ),
    ]


def _feed() -> Operation:
    position = {"type": "integer", "minimum": 0}
    return Operation(
        method="get",
        path="/api/v1/events",
        tag="history",
        summary="The feed of all events, in order, without gaps.",
        description=(
            "With `Accept: text/event-stream` it has no end: `open`, then a message for each event, with its position "
            "as id. Whoever comes back with the last id misses nothing."
        ),
        parameters=[
            *FILTERS,
            Parameter("after", {**position, "default": 0}, "Events beyond this position."),
            PAGING[0],
            Parameter(
                "wait",
                {"type": "integer", "minimum": 0, "maximum": 60, "default": 0},
                "Seconds to wait for the first when there is none yet.",
            ),
            Parameter("headers", TRUTH, "With the headers of frames."),
            Parameter("last-event-id", position, "In a stream, instead of `after`.", "header"),
        ],
        answers={
            200: Answer(
                "The events; where to go on, which is beyond those that the filters leave out; and where the log ends.",
                record({"results": array(ref("Entry")), "next": WHOLE, "head": WHOLE}),
            ),
            503: problem("Too many programs follow the events here."),
        },
        who="superuser",
    )
