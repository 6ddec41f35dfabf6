"""What may be asked of the log: filters and positions in the address of a request."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from api.ocs.filters import moment
from api.serving import AnyRequest
from application.event_search import LAST
from application.ports.audit import EventFilter
from domain.errors import InvalidInput

FILTERS = ("kind", "actor", "via", "stream", "correlation", "since", "until")


def filter_of(request: AnyRequest, *others: str) -> EventFilter:
    """The filter in the query; `others` are the parameters that may stand beside it. Raises InvalidInput: a filter that
    is misspelt must not pass for none."""
    _must_know(request, (*FILTERS, *others))
    query = request.query_params
    wanted = EventFilter(
        kinds=tuple(query.getall("kind", [])),
        actor=query.get("actor", ""),
        via=query.get("via", ""),
        stream=query.get("stream", ""),
        correlation=query.get("correlation", ""),
        since=time_of(request, "since"),
        until=time_of(request, "until"),
    )
    wanted.check()
    return wanted


def time_of(request: AnyRequest, name: str) -> datetime | None:
    """The time that a parameter names. Raises InvalidInput."""
    text = request.query_params.get(name, "")
    try:
        return moment(text) if text else None
    except (ValueError, OverflowError):
        raise InvalidInput(f"{name} is a time such as 2026-11-20T12:00:00Z.", field=name) from None


def number_of(name: str, text: str, least: int, most: int = LAST) -> int:
    """A whole number between two, both included. Raises InvalidInput."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(LAST)) and least <= int(text) <= most):
        what = "a position" if most == LAST else f"a number from {least} to {most}"
        raise InvalidInput(f"{name} is {what}.", field=name)
    return int(text)


def truth_of(request: AnyRequest, name: str) -> bool:
    """Whether a parameter says yes. Raises InvalidInput."""
    text = request.query_params.get(name, "0")
    if text not in ("0", "1", "false", "true"):
        raise InvalidInput(f"{name} is 1 or 0.", field=name)
    return text in ("1", "true")


def _must_know(request: AnyRequest, names: Collection[str]) -> None:
    for name in request.query_params:
        if name not in names:
            raise InvalidInput(f"There is no parameter {name[:40]}; there are {', '.join(names)}.", field=name[:40])
