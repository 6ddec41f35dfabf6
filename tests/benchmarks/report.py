"""What a benchmark found, and the table of it all."""

from __future__ import annotations

import msgspec

MIB = 1 << 20


class Row(msgspec.Struct, kw_only=True):
    """One measure. `partner` is what ran beside it in the same run; load averages and foreign cores say how quiet the
    machine was. `reached` is None where there is no goal."""

    name: str
    figure: float
    unit: str
    partner: str = ""
    partner_figure: float | None = None
    goal: str = ""
    reached: bool | None = None
    peak: int | None = None
    note: str = ""
    load_before: float = 0.0
    load_after: float = 0.0
    foreign: float = 0.0

    @property
    def ratio(self) -> float | None:
        """Ours to the partner's."""
        return self.figure / self.partner_figure if self.partner_figure else None


_HEAD = ("measure", "figure", "beside it", "ratio", "goal", "reached", "peak MiB", "load", "foreign")


def table(rows: list[Row]) -> str:
    """All rows as text, notes below."""
    lines = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    text.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*text, "", *(f"{row.name}: {row.note}" for row in rows if row.note)])


def one_line(row: Row) -> str:
    """A row as it is printed when it is found."""
    return "  ".join(cell for cell in _cells(row) if cell) + (f"  ({row.note})" if row.note else "")


def _cells(row: Row) -> tuple[str, ...]:
    ratio = row.ratio
    return (
        row.name,
        f"{_number(row.figure)} {row.unit}",
        f"{row.partner} {_number(row.partner_figure)}" if row.partner_figure is not None else "",
        f"{ratio:.2f}" if ratio is not None else "",
        row.goal,
        {True: "yes", False: "NO", None: ""}[row.reached],
        f"{row.peak / MIB:.0f}" if row.peak else "",
        f"{row.load_before:.1f}-{row.load_after:.1f}",
        f"{row.foreign:.1f}",
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
