"""Paging by place instead of by number: what follows a row stays the same, whatever arrives in front of it, and is
found through an index at any depth."""

from __future__ import annotations

from typing import Any

import msgspec

from projections.frames.rows import FrameRow
from projections.frames.search import Where

Order = tuple[tuple[str, bool], ...]
"""Columns, and whether each is descending."""

NULLABLE = frozenset({"exposure_time"})
"""Of the columns that lists are ordered by and that may be null in a frame that is listed. PostgreSQL takes a null for
larger than everything."""


class Mark(msgspec.Struct, frozen=True):
    """The place of a row: its values in the columns of a total order."""

    values: tuple[Any, ...]


def total(order: Order) -> Order:
    """The same order made total by id, so that no row repeats or vanishes between pages."""
    terms: dict[str, bool] = {}
    for column, descending in order:
        terms.setdefault(column, descending)
        if column == "id":
            break
    else:
        terms["id"] = order[-1][1] if order else True
    return tuple(terms.items())


def reverse(order: Order) -> Order:
    """The order read backwards."""
    return tuple((column, not descending) for column, descending in order)


def mark_of(row: FrameRow, order: Order) -> Mark:
    """Where a row stands in a total order."""
    return Mark(tuple(getattr(row, column) for column, _ in order))


def order_by(order: Order) -> str:
    """A total order as SQL."""
    return "ORDER BY " + ", ".join(f"f.{column}{' DESC' if descending else ''}" for column, descending in order)


def beyond(order: Order, mark: Mark, where: Where) -> None:
    """Keep what comes after the mark in a total order."""
    directions = {descending for _, descending in order}
    if len(directions) == 1 and not any(column in NULLABLE for column, _ in order):
        columns = ", ".join(f"f.{column}" for column, _ in order)
        places = ", ".join("%s" for _ in order)
        where.add(f"({columns}) {'<' if directions.pop() else '>'} ({places})", *mark.values)
        return
    alternatives: list[str] = []
    parameters: list[Any] = []
    for number, (column, descending) in enumerate(order):
        follows = _follows(column, descending, mark.values[number])
        if follows is None:
            continue
        before = [_equals(name, mark.values[place]) for place, (name, _) in enumerate(order[:number])]
        alternatives.append(" AND ".join([*(text for text, _ in before), follows[0]]))
        parameters += [value for _, values in (*before, follows) for value in values]
    where.add(f"({' OR '.join(f'({one})' for one in alternatives)})", *parameters)


def _equals(column: str, value: Any) -> tuple[str, list[Any]]:
    return (f"f.{column} IS NULL", []) if value is None else (f"f.{column} = %s", [value])


def _follows(column: str, descending: bool, value: Any) -> tuple[str, list[Any]] | None:
    """What is beyond a value in one column; None when nothing can be."""
    if value is None:
        return (f"f.{column} IS NOT NULL", []) if descending else None
    if descending:
        return f"f.{column} < %s", [value]
    if column in NULLABLE:
        return f"(f.{column} > %s OR f.{column} IS NULL)", [value]
    return f"f.{column} > %s", [value]
