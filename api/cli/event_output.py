"""Events on standard output: for people, as JSON lines, or as CSV."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import msgspec
import rich_click as click

from api.ocs.filters import moment
from application.history import Entry
from domain.errors import InvalidInput

Form = Literal["text", "json", "csv"]
F = TypeVar("F", bound=Callable[..., Any])

LEFT_OUT = frozenset({"record", "versions", "hashes", "store_path", "store_key", "headers"})
COLUMNS = (
    "position", "at", "event", "stream", "version", "actor", "via", "correlation", "causation", "reason", "data",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A spreadsheet takes a cell that begins so for a formula, wherever its text came from (OWASP, CSV injection)."""


def output_options(command: F) -> F:
    """`--json` and `--csv`."""
    for option in (
        click.option("--csv", "as_csv", is_flag=True, help="Comma-separated values, with a line of names."),
        click.option("--json", "as_json", is_flag=True, help="One JSON object a line."),
    ):
        command = option(command)
    return command


def form_of(as_json: bool, as_csv: bool) -> Form:
    """Which one is asked for. Raises InvalidInput."""
    if as_json and as_csv:
        raise InvalidInput("Choose one of --json and --csv.")
    return "json" if as_json else "csv" if as_csv else "text"


def time_of(option: str, text: str | None) -> datetime | None:
    """The time that an option names. Raises InvalidInput."""
    try:
        return moment(text) if text else None
    except (ValueError, OverflowError):
        raise InvalidInput(f"{option} {text} isn't a time such as 2026-11-20T12:00:00Z.") from None


class Output:
    """Writes some events after the other. `lines` writes those for people, with a heading on the first call."""

    def __init__(self, form: Form, lines: Callable[[Sequence[Entry], bool], None]) -> None:
        self._form = form
        self._lines = lines
        self._begun = False

    def write(self, told: Sequence[Entry]) -> None:
        """These come next."""
        match self._form:
            case "json":
                for entry in told:
                    sys.stdout.write(msgspec.json.encode(entry).decode() + "\n")
            case "csv":
                writer = csv.writer(sys.stdout, lineterminator="\n")
                if not self._begun:
                    writer.writerow(COLUMNS)
                writer.writerows([_cell(value) for value in _row(entry)] for entry in told)
            case "text":
                self._lines(told, not self._begun)
        self._begun = True


def as_story(told: Sequence[Entry], first: bool = True) -> None:  # noqa: ARG001
    """Two lines an event: when, what, who and why; then its content."""
    for entry in told:
        because = f", because of event {entry.causation}" if entry.causation else ""
        reason = f": {entry.reason}" if entry.reason else ""
        why = f"by {entry.actor} via {entry.via}{because}{reason}"
        click.echo(f"{_when(entry)}  {entry.event}  {why}  (event {entry.position})")
        what = "  ".join(f"{name}={_brief(value)}" for name, value in entry.data.items() if name not in LEFT_OUT)
        click.echo(f"    {entry.stream}  {what}")


def as_table(told: Sequence[Entry], first: bool) -> None:
    """One line an event. What is cut is whole in --json and --csv."""
    if first:
        click.echo(_line("position", "at", "event", "by", "via", "because", "correlation", "stream"))
    for entry in told:
        click.echo(
            _line(
                str(entry.position),
                _when(entry),
                entry.event,
                entry.actor,
                entry.via,
                str(entry.causation or ""),
                entry.correlation,
                entry.stream,
            )
        )


WIDTHS = (10, 24, 32, 28, 6, 10, 16)


def _line(*cells: str) -> str:
    *fixed, last = (_printable(cell) for cell in cells)
    cut = [cell if len(cell) <= width else f"{cell[: width - 1]}…" for cell, width in zip(fixed, WIDTHS, strict=True)]
    return "  ".join([*(cell.ljust(width) for cell, width in zip(cut, WIDTHS, strict=True)), last]).rstrip()


def _row(entry: Entry) -> list[Any]:
    values = {**msgspec.structs.asdict(entry), "at": _exact(entry.at), "data": msgspec.json.encode(entry.data).decode()}
    return [values[name] for name in COLUMNS]


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _exact(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _when(entry: Entry) -> str:
    return f"{entry.at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3] + "Z"


def _printable(text: str) -> str:
    """Text that can't do anything to a terminal."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def _brief(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 80 else f"{text[:77]}..."
