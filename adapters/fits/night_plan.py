"""What a small night looks like: which telescope takes which frame, of what, when, and for whom."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

import msgspec


class Telescope(msgspec.Struct, frozen=True):
    """`dusk` is the first exposure's UTC time of day; a dusk before noon belongs to the same observing night."""

    site: str
    enclosure: str
    telescope: str
    prefix: str
    instrument: str
    latitude: float
    longitude: float
    height: float
    dusk: time


class Target(msgspec.Struct, frozen=True):
    """Right ascension and declination in degrees (ICRS); `public` data are free at once."""

    name: str
    ra: float
    dec: float
    proposal: str
    observer: str
    public: bool = False


class Exposure(msgspec.Struct, frozen=True):
    """One frame to take. `number` counts the telescope's exposures in the night; `exposure_time` is in seconds.

    `level` is 0 for raw and 91 for reduced; a calibration frame has no target.
    """

    telescope: Telescope
    day: date
    number: int
    letter: str
    level: int
    configuration_type: str
    start: datetime
    exposure_time: float
    optical_element: str
    block: int
    target: Target | None = None

    @property
    def basename(self) -> str:
        """The name without extension, in LCO's manner."""
        return self.named(f"{self.letter}{self.level:02}")

    def named(self, ending: str) -> str:
        """The basename of the same exposure in another state."""
        return f"{self.telescope.prefix}-{self.telescope.instrument}-{self.day:%Y%m%d}-{self.number:04}-{ending}"


TELESCOPES = (
    Telescope("coj", "clma", "1m0a", "coj1m011", "fa12", -31.2728, 149.0708, 1168.0, time(9, 10)),
    Telescope("tfn", "aqwa", "0m4a", "tfn0m414", "sq36", 28.3003, -16.5119, 2330.0, time(20, 15)),
)

TARGETS = (
    Target("M31", 10.684708, 41.26875, "SFY2026A-003", "mrivera"),
    Target("NGC 253", 11.888002, -25.288442, "SFY2026A-003", "mrivera"),
    Target("M33", 23.462042, 30.660222, "EPO2026B-011", "school12", public=True),
    Target("NGC 1365", 53.401548, -36.140403, "SFY2026B-007", "akowalski"),
    Target("M42", 83.81860, -5.38968, "EPO2026B-011", "school12", public=True),
    Target("NGC 300", 13.722833, -37.684390, "SFY2026B-007", "akowalski"),
)

_CALIBRATIONS = (
    ("b", "BIAS", 0.0, "air"),
    ("d", "DARK", 300.0, "air"),
    ("f", "SKYFLAT", 7.5, "rp"),
    ("b", "BIAS", 0.0, "air"),
)
_FILTERS = ("rp", "gp", "ip")
_READOUT = timedelta(seconds=28)


def exposures(telescope: Telescope, day: date, count: int, first_block: int) -> Iterator[Exposure]:
    """`count` frames of one telescope: a third calibrations, then raw science frames, each followed by its reduced."""
    start = datetime.combine(day, telescope.dusk, UTC)
    for number in range(1, count // 3 + 1):
        letter, kind, seconds, element = _CALIBRATIONS[(number - 1) % len(_CALIBRATIONS)]
        yield Exposure(telescope, day, number, letter, 0, kind, start, seconds, element, first_block + number)
        start += timedelta(seconds=seconds) + _READOUT
    for frame in range(count - count // 3):
        science, level = divmod(frame, 2)
        target = TARGETS[(science + first_block) % len(TARGETS)]
        element = _FILTERS[science % len(_FILTERS)]
        seconds = 60.0 + 30.0 * (science % 3)
        begin = start + science * timedelta(seconds=240)
        yield Exposure(
            telescope,
            day,
            count // 3 + science + 1,
            "e",
            91 * level,
            "EXPOSE",
            begin,
            seconds,
            element,
            first_block + 500 + science,
            target,
        )
