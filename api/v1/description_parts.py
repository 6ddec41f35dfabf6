"""What the descriptions of our own API have in common: lists by cursor, problem details."""

from __future__ import annotations

from api.openapi import TEXT, WHOLE, Answer, Operation, Parameter, array, nullable, record, ref

PAGING = (
    Parameter("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}, "Rows of a page."),
    Parameter("cursor", TEXT, "`next_cursor` of the page before."),
)
POSITION = Parameter(
    "starferry-position", WHOLE, "Wait until the read models have this position of a write's answer.", "header"
)


def listed(path: str, tag: str, item: str, summary: str, *filters: Parameter) -> Operation:
    """The operation that gives a list of `item`s by cursor."""
    page = record({"results": array(ref(item)), "next_cursor": nullable(TEXT)})
    return Operation(
        method="get",
        path=path,
        tag=tag,
        summary=summary,
        parameters=[*filters, *PAGING, POSITION],
        answers={200: Answer("A page, newest first.", page)},
        who="known",
    )


def problem(description: str) -> Answer:
    """A kind of problem details."""
    return Answer(description, ref("Problem"), "application/problem+json")
