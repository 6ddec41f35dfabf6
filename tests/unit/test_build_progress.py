"""Builds of read models tell how far they are, how fast, and how long they still take."""

from __future__ import annotations

import pytest

from api.cli.build_progress import BuildProgress, duration_text, size_text
from projections.builds import Pace


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_without_a_terminal_there_is_a_line_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with BuildProgress(clock, terminal=False) as progress:
        progress.begin("frames")
        progress.tell("reading events")
        for second in range(13):
            clock.now = float(second)
            progress.report(1000 * second, 100_000)
        progress.tell("making indexes")
    assert capsys.readouterr().err.splitlines() == [
        "frames: reading events",
        "frames: reading events, 5 % (5000 of 100000), 1000 events/s, 1 min 35 s left",
        "frames: reading events, 10 % (10000 of 100000), 1000 events/s, 1 min 30 s left",
        "frames: making indexes",
    ]


def test_on_a_terminal_there_is_a_bar_with_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with BuildProgress(clock, terminal=True) as progress:
        progress.begin("frames")
        progress.tell("reading events")
        for second in range(3):
            clock.now = float(second)
            progress.report(500 * second, 2000)
    told = capsys.readouterr().err
    assert "frames: reading events" in told
    assert "1000/2000" in told


def test_the_pace_is_that_of_the_last_seconds() -> None:
    clock = Clock()
    pace = Pace(0, clock)
    for second in range(1, 21):
        clock.now = float(second)
        rate = pace.at(100 * second)
    assert rate == pytest.approx(100)
    for second in range(21, 41):
        clock.now = float(second)
        rate = pace.at(2000 + 1000 * (second - 20))
    assert rate == pytest.approx(1000)


def test_durations_and_sizes_read_well() -> None:
    assert [duration_text(seconds) for seconds in (0.2, 8, 130, 3900)] == ["0 s", "8 s", "2 min 10 s", "1 h 5 min"]
    assert [size_text(size) for size in (24_576, 40_000_000, 1_500_000_000)] == ["24 kB", "40 MB", "1.5 GB"]
