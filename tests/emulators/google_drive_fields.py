"""Google's partial responses: `fields` picks parts of a reply, as in `files(id,name),nextPageToken` or `user/me`.

Source: Drive's guide "Return specific fields". Names are checked against the SDK's own description of Drive.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from googleapiclient.discovery_cache import get_static_doc

Wanted = dict[str, "Wanted"]
"""The fields by name, each with those wanted of it; none means all."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*|\*")


class InvalidFields(Exception):
    """The text isn't a selection of fields, or names one that the resource hasn't."""


def selected(value: Any, fields: str, schema: str) -> Any:
    """What `fields` asks of `value`, a resource of that schema. Raises InvalidFields."""
    wanted, rest = _read(fields.replace(" ", ""))
    if rest:
        raise InvalidFields(fields)
    _check(wanted, schema)
    return _picked(value, wanted)


def _read(text: str) -> tuple[Wanted, str]:
    """A list of fields, and the text behind it."""
    wanted: Wanted = {}
    while True:
        found = _NAME.match(text)
        if found is None:
            raise InvalidFields(text)
        inner: Wanted = {}
        text = text[found.end() :]
        if text.startswith("/"):
            one, text = _read_path(text[1:])
            inner = one
        elif text.startswith("("):
            inner, text = _read(text[1:])
            if not text.startswith(")"):
                raise InvalidFields(text)
            text = text[1:]
        wanted.setdefault(found[0], {}).update(inner)
        if not text.startswith(","):
            return wanted, text
        text = text[1:]


def _read_path(text: str) -> tuple[Wanted, str]:
    """The next single field, with what it has behind slashes or in parentheses."""
    depth = 0
    for at, char in enumerate(text):
        depth += {"(": 1, ")": -1}.get(char, 0)
        if depth < 0 or (char == "," and depth == 0):
            return _read(text[:at])[0], text[at:]
    return _read(text)[0], ""


def _check(wanted: Wanted, schema: str) -> None:
    described = _schemas().get(schema, {}).get("properties", {})
    for name, inner in wanted.items():
        if name == "*":
            continue
        if described and name not in described:
            raise InvalidFields(name)
        of = described.get(name, {})
        _check(inner, of.get("$ref") or of.get("items", {}).get("$ref", ""))


def _picked(value: Any, wanted: Wanted) -> Any:
    if not wanted or "*" in wanted:
        return value
    if isinstance(value, list):
        return [_picked(one, wanted) for one in value]
    if not isinstance(value, dict):
        return value
    return {name: _picked(value[name], inner) for name, inner in wanted.items() if name in value}


@cache
def _schemas() -> dict[str, Any]:
    schemas: dict[str, Any] = json.loads(get_static_doc("drive", "v3"))["schemas"]
    return schemas
