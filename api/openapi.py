"""The language in which the HTTP surfaces are described, and what makes an OpenAPI 3.1 document of it.

Handlers take raw requests, so that the wire is exactly as the contracts say; what they read and answer is told here,
beside them, from the tables that they themselves use where there are any. A test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

Schema = Mapping[str, Any]
Who = Literal["anyone", "known", "staff", "superuser", "portal"]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
TRUTH: Schema = {"type": "boolean"}
DAY: Schema = {"type": "string", "format": "date"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
JSON = "application/json"
BODY_TYPES = (JSON, "application/x-www-form-urlencoded", "multipart/form-data")

_WHO = {
    "anyone": "",
    "known": "For everybody who is logged in.",
    "staff": "For staff.",
    "superuser": "For superusers.",
    "portal": "For the observation portal, with its server key.",
}


class Parameter(msgspec.Struct, frozen=True):
    """A query or path parameter. A `repeated` one may be given several times."""

    name: str
    schema: Schema = msgspec.field(default_factory=lambda: TEXT)
    description: str = ""
    where: Literal["query", "path", "header"] = "query"
    repeated: bool = False


class Body(msgspec.Struct, frozen=True):
    """What a request carries: one schema in each of these media types."""

    schema: Schema
    types: Sequence[str] = (JSON,)
    required: bool = True
    example: Any = None


class Answer(msgspec.Struct, frozen=True):
    """One kind of response. Without a schema it has no body worth describing."""

    description: str
    schema: Schema | None = None
    media: str = JSON


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path. `answers` are the good ones and those errors that differ from the surface's usual form;
    the usual ones follow from `who`, the parameters and the body."""

    method: Literal["get", "post", "put", "patch", "delete"]
    path: str
    tag: str
    summary: str
    answers: Mapping[int, Answer]
    description: str = ""
    parameters: Sequence[Parameter] = ()
    body: Body | None = None
    who: Who = "anyone"


class Surface(msgspec.Struct, frozen=True, kw_only=True):
    """A set of operations with what they share: `error` is the usual error body, `refusal` that of bad input."""

    title: str
    description: str
    tags: Mapping[str, str]
    operations: Sequence[Operation]
    schemas: Mapping[str, Schema]
    error: Answer
    refusal: Answer


def ref(name: str) -> Schema:
    """A schema by its name among the document's components."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: Schema) -> Schema:
    """A list of these."""
    return {"type": "array", "items": items}


def record(properties: Mapping[str, Schema], *optional: str) -> Schema:
    """An object that has all of these properties but the optional ones."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), **({"required": required} if required else {})}


def nullable(schema: Schema) -> Schema:
    """This, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def struct_schemas(*kinds: type[msgspec.Struct]) -> dict[str, Schema]:
    """Schemas of structs by name, those that they hold among them."""
    _, found = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    return found


def document(surface: Surface, server: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a surface whose paths begin at `server`."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in surface.operations:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, surface)
    return {
        "openapi": "3.1.0",
        "info": {"title": surface.title, "description": surface.description, "version": "1"},
        "servers": [{"url": server}],
        "tags": [{"name": name, "description": text} for name, text in surface.tags.items()],
        "paths": paths,
        "components": {"schemas": dict(surface.schemas), "securitySchemes": SECURITY},
    }


SECURITY = {
    "token": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`Token ` and the key that `/api-token-auth/` gives.",
    },
    "session": {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": "A login at `/api-auth/login/`."},
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token of the observation portal."},
    "server": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`Server ` and the key that the portal shares with the archive.",
    },
}
_PERSON: list[dict[str, list[str]]] = [{"token": []}, {"session": []}, {"bearer": []}]


def _operation(operation: Operation, surface: Surface) -> dict[str, Any]:
    told = [text for text in (operation.description, _WHO[operation.who]) if text]
    found: dict[str, Any] = {
        "operationId": _id(operation),
        "tags": [operation.tag],
        "summary": operation.summary,
        **({"description": " ".join(told)} if told else {}),
        "security": _security(operation.who),
        "responses": {str(status): _answer(answer) for status, answer in sorted(_answers(operation, surface).items())},
    }
    if operation.parameters:
        found["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body is not None:
        found["requestBody"] = _body(operation.body)
    return found


def _id(operation: Operation) -> str:
    words = re.findall(r"[A-Za-z0-9]+", operation.path) or ["root"]
    return "_".join([operation.method, *words])


def _security(who: Who) -> list[dict[str, list[str]]]:
    if who == "portal":
        return [{"server": []}]
    return [{}, *_PERSON] if who == "anyone" else _PERSON


def _answers(operation: Operation, surface: Surface) -> dict[int, Answer]:
    usual = {401: "The credentials are wrong or missing.", 503: "Try again later."}
    if operation.who != "anyone":
        usual[403] = "Not allowed."
    names = {parameter.name for parameter in operation.parameters}
    if operation.who == "anyone" and "at" in names:
        usual[403] = "Only superusers may ask about the past."
    if "format" in names:
        usual[404] = "There is no such format."
    if "{" in operation.path:
        usual[404] = "It isn't there, or the asker may not see it."
    if operation.body is not None:
        usual |= {413: "The body is too large.", 415: "The body is of a type that isn't read."}
    answers = {status: msgspec.structs.replace(surface.error, description=text) for status, text in usual.items()}
    if operation.parameters or operation.body is not None:
        answers[400] = surface.refusal
    return {**answers, **operation.answers}


def _answer(answer: Answer) -> dict[str, Any]:
    if answer.schema is None:
        return {"description": answer.description}
    return {"description": answer.description, "content": {answer.media: {"schema": answer.schema}}}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = array(parameter.schema) if parameter.repeated else parameter.schema
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.where == "path",
        "schema": schema,
        **({"explode": True, "style": "form"} if parameter.repeated else {}),
        **({"description": parameter.description} if parameter.description else {}),
    }


def _body(body: Body) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": body.schema, **({"example": body.example} if body.example else {})}
    return {"required": body.required, "content": dict.fromkeys(body.types, content)}


def numbered(*names: str) -> tuple[Parameter, ...]:
    """Path parameters that are ids."""
    return tuple(Parameter(name, {"type": "integer", "minimum": 0}, where="path") for name in names)


def named(*names: str) -> tuple[Parameter, ...]:
    """Path parameters that are texts."""
    return tuple(Parameter(name, {"type": "string", "minLength": 1}, where="path") for name in names)
