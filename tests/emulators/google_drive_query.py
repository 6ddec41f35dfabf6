"""The search queries of Google Drive's `files.list`, as SQL.

Source: Drive's guide "Search query terms and operators". `and` and `or` are read from left to right, neither before the
other; parentheses and `not` are what they seem. Only the terms that clients of this emulator use are known.
"""

from __future__ import annotations

import re
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<mark>[()])|(?P<word>and|or|not)\b|name\s*=\s*'(?P<name>(?:[^'\\]|\\.)*)'|"
    r"'(?P<parent>(?:[^'\\]|\\.)+)'\s+in\s+parents|mimeType\s*(?P<op>!?=)\s*'(?P<mime>[^']*)'|"
    r"trashed\s*=\s*(?P<trashed>true|false))\s*"
)


class InvalidQuery(Exception):
    """It isn't a query, or one that this emulator doesn't read."""


def condition(query: str) -> tuple[str, list[Any]]:
    """A WHERE clause and its values; an empty query is met by everything. Raises InvalidQuery."""
    if not query.strip():
        return "1", []
    reader = _Reader(query)
    found = reader.expression()
    if reader.left:
        raise InvalidQuery(query)
    return found, reader.values


class _Reader:
    """Reads from the first of `left` on; `values` are those of what was read."""

    def __init__(self, query: str) -> None:
        self.left: list[dict[str, str | None]] = []
        self.values: list[Any] = []
        at = 0
        while at < len(query):
            token = _TOKEN.match(query, at)
            if token is None:
                raise InvalidQuery(query)
            self.left.append(token.groupdict())
            at = token.end()

    def expression(self) -> str:
        found = self._operand()
        while self.left and self.left[0]["word"] in ("and", "or"):
            found = f"({found} {self.left.pop(0)['word']} {self._operand()})"
        return found

    def _operand(self) -> str:
        if not self.left:
            raise InvalidQuery("It ends too early.")
        token = self.left.pop(0)
        if token["word"] == "not":
            return f"(NOT {self._operand()})"
        if token["mark"] == "(":
            inner = self.expression()
            if not self.left or self.left.pop(0)["mark"] != ")":
                raise InvalidQuery("A parenthesis is missing.")
            return inner
        return self._term(token)

    def _term(self, token: dict[str, str | None]) -> str:
        for column, text, op in (
            ("name", token["name"], "="), ("parent", token["parent"], "="), ("mime", token["mime"], token["op"]),
        ):  # fmt: skip
            if text is not None:
                self.values.append(re.sub(r"\\(.)", r"\1", text))
                return f"{column} {op} ?"
        if token["trashed"] is None:
            raise InvalidQuery("A term is missing.")
        return f"trashed = {int(token['trashed'] == 'true')}"
