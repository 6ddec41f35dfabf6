"""The service itself described: root, health, figures, these descriptions (contracts: 1.2)."""

from __future__ import annotations

from api.ocs.description_search import FORMAT
from api.openapi import TEXT, TRUTH, WHOLE, Answer, Operation, Parameter, Schema, record, ref

HTML = "text/html"
PLAIN = "text/plain"
_LISTS = ("frames", "versions", "thumbnails")


def service_operations() -> list[Operation]:
    """The service itself."""
    page = {200: Answer("A page for people.", TEXT, HTML)}
    return [
        Operation(
            method="get",
            path="/",
            tag="service",
            summary="Where the lists are.",
            parameters=[FORMAT],
            answers={200: Answer("Their addresses.", record(dict.fromkeys(_LISTS, TEXT)))},
        ),
        Operation(
            method="get",
            path="/health/",
            tag="service",
            summary="For load balancers.",
            parameters=[FORMAT],
            answers={200: Answer('The word "ok".', {"const": "ok"})},
        ),
        Operation(
            method="get",
            path="/healthz",
            tag="service",
            summary="Does the process answer?",
            answers={200: Answer("It does.", record({"status": {"const": "ok"}}))},
        ),
        Operation(
            method="get",
            path="/readyz",
            tag="service",
            summary="Is it ready to serve?",
            answers={
                200: Answer("It is.", ref("Readiness")),
                503: Answer("It isn't.", {"anyOf": [ref("Readiness"), ref("Error")]}),
            },
        ),
        Operation(
            method="get",
            path="/metrics",
            tag="service",
            summary="Figures for Prometheus.",
            answers={200: Answer("Prometheus' text format.", TEXT, PLAIN)},
        ),
        Operation(
            method="get",
            path="/robots.txt",
            tag="service",
            summary="Nothing here for crawlers.",
            answers={200: Answer("The rules.", TEXT, PLAIN)},
        ),
        Operation(
            method="get",
            path="/openapi/",
            tag="service",
            summary="This description.",
            parameters=[Parameter("format", TEXT, "`openapi-json` or `openapi`; both are JSON, which is YAML too.")],
            answers={200: Answer("An OpenAPI document.", {"type": "object"})},
        ),
        Operation(
            method="get",
            path="/redoc/",
            tag="service",
            summary="This description for people.",
            answers=page,
        ),
        Operation(
            method="get",
            path="/redoc/own/",
            tag="service",
            summary="Our own API's description for people.",
            answers=page,
        ),
    ]


SERVICE_SCHEMAS: dict[str, Schema] = {
    "Error": record({"detail": TEXT}),
    "FieldErrors": {
        "description": "Sentences by field or parameter; for a bad geometry, one sentence in a list.",
        "anyOf": [
            {"type": "object", "additionalProperties": {"type": ["array", "object", "string"]}},
            {"type": "array", "items": TEXT},
        ],
    },
    "Readiness": record(
        {
            "ready": TRUTH,
            "checks": {"type": "object", "additionalProperties": TRUTH},
            "lag": {"type": "object", "additionalProperties": WHOLE},
        }
    ),
}
"""The usual errors among them."""
