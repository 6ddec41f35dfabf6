"""Made-up frames of a robotic telescope network, as `POST /frames/` takes them; frame i is a function of i alone.

Ten frames are one observation: of every eight observations one is calibration (nine raw, one master), one spectra and
six images (five raw, five reduced). Frames come in time order, `SECONDS` apart. About 200 header cards, 5 kB of JSON.

Another generator may be loaded from a file (`open_generator`): it needs a class `Gen` with `frame(i)`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Protocol

from tests.benchmarks.frame_headers import headers

Payload = dict[str, Any]

START = datetime(2021, 11, 1, tzinfo=UTC)
SECONDS = 157.0
BLOCK = 10
PLACES = (
    ("coj", "1m0a", "fa12"), ("coj", "1m0a", "fa19"), ("coj", "0m4a", "sq38"), ("cpt", "1m0a", "fa14"),
    ("cpt", "1m0a", "fa16"), ("cpt", "0m4a", "sq37"), ("lsc", "1m0a", "fa15"), ("lsc", "1m0a", "fa04"),
    ("lsc", "0m4a", "sq35"), ("elp", "1m0a", "fa05"), ("elp", "1m0a", "fa07"), ("ogg", "2m0a", "ep02"),
    ("ogg", "2m0a", "ep03"), ("tfn", "1m0a", "fa20"), ("tfn", "1m0a", "fa11"), ("tlv", "1m0a", "fa18"),
)  # fmt: skip
FILTERS = ("up", "gp", "rp", "ip", "zs", "w", "B", "V", "R", "I")
CALIBRATIONS = ("BIAS", "DARK", "SKYFLAT")
TARGETS, PROPOSALS = 4000, 300


class Generator(Protocol):
    """What the benchmarks want of a generator."""

    def frame(self, i: int) -> Payload:
        """The body of `POST /frames/` for frame i, headers included."""
        ...


class Frames:
    """See the module."""

    def __init__(self, seed: int = 1) -> None:
        self.seed = seed

    def frame(self, i: int) -> Payload:
        """See Generator."""
        block, place = divmod(i, BLOCK)
        chance = Random(self.seed * 7919 + block)
        site, telescope, instrument = PLACES[block % len(PLACES)]
        kind = ("calibration", "spectra", *("images",) * 6)[block % 8]
        rank = int(TARGETS ** chance.random()) - 1  # few targets and proposals take most of the time
        target, proposal = f"NGC {rank + 1}", f"PROP{int(PROPOSALS ** chance.random()):03d}"
        element, exposure = FILTERS[chance.randrange(len(FILTERS))], float(chance.choice((10, 30, 60, 120, 300)))
        reduced = kind != "calibration" and place >= 5
        master = kind == "calibration" and place == 9
        begin = START + timedelta(seconds=block * BLOCK * SECONDS)
        turn = place if kind == "calibration" else place % 5  # a reduced frame has the time of its raw one
        observed = begin + timedelta(seconds=turn * (exposure + 30))
        if kind == "calibration":
            configuration, target, element = CALIBRATIONS[block // 8 % 3], "", "air"
        else:
            configuration = "EXPOSE" if kind == "images" else "SPECTRUM"
        direction = Random(self.seed * 31 + rank)
        ra, dec = direction.random() * 360, math.degrees(math.asin(2 * direction.random() - 1))
        wobble = Random(self.seed * 104729 + i)
        ra = (ra + wobble.uniform(-0.005, 0.005)) % 360
        public = observed if kind == "calibration" or rank % 20 == 0 else observed + timedelta(days=365)
        payload: Payload = {
            "basename": self.basename(i),
            "area": _square(ra, dec, 0.44) if kind == "images" or configuration == "SKYFLAT" else None,
            "observation_date": _iso(observed),
            "observation_day": f"{begin - timedelta(hours=12):%Y-%m-%d}",
            "proposal_id": "calibrate" if kind == "calibration" else proposal,
            "instrument_id": instrument,
            "target_name": target,
            "reduction_level": 91 if reduced or master else 0,
            "site_id": site,
            "telescope_id": telescope,
            "exposure_time": exposure,
            "primary_optical_element": element,
            "public_date": _iso(public),
            "configuration_type": configuration,
            "observation_id": 100_000 + block,
            "request_id": None if kind == "calibration" else 500_000 + block // 2,
            "related_frame_filenames": self._related(i, block, place, reduced, master),
            "version_set": [
                {"md5": self._hex("md5", i), "key": self._hex("key", i), "extension": ".fits.fz"},
            ],
        }
        payload["headers"] = headers(payload, wobble, ra, dec, number=i, reduced=reduced or master)
        return payload

    def basename(self, i: int) -> str:
        """The name of frame i."""
        block, place = divmod(i, BLOCK)
        site, telescope, instrument = PLACES[block % len(PLACES)]
        night = START + timedelta(seconds=block * BLOCK * SECONDS) - timedelta(hours=12)
        letter = "b" if block % 8 == 0 else "e"
        level = "91" if (block % 8 == 0 and place == 9) or (block % 8 and place >= 5) else "00"
        number = place % 5 if block % 8 else place
        return f"{site}{telescope}-{instrument}-{night:%Y%m%d}-{block % 100_000:05d}{number}-{letter}{level}"

    def _related(self, i: int, block: int, place: int, reduced: bool, master: bool) -> list[str]:
        if master:
            return [self.basename(i - back) for back in range(9, 0, -1)]
        if not reduced:
            return []
        masters = [block - block % 8 - 8 * back for back in range(3)]
        return [self.basename(i - 5), *(self.basename(one * BLOCK + 9) for one in masters if one >= 0)]

    def _hex(self, what: str, i: int) -> str:
        return hashlib.md5(f"{what}:{self.seed}:{i}".encode(), usedforsecurity=False).hexdigest()


def open_generator(path: Path | None) -> Generator:
    """Our own frames, or the class `Gen` of another program's file."""
    if path is None:
        return Frames()
    spec = importlib.util.spec_from_file_location("frame_generator", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["frame_generator"] = module
    spec.loader.exec_module(module)
    generator: Generator = module.Gen(seed=1)
    return generator


def centre(payload: Payload) -> tuple[float, float] | None:
    """A point well inside a frame's footprint; None without one, or where a mean of corners means nothing."""
    area = payload["area"]
    if not area:
        return None
    corners = area["coordinates"][0][:4]
    ras, decs = [corner[0] for corner in corners], [corner[1] for corner in corners]
    if max(ras) - min(ras) > 5 or max(map(abs, decs)) > 80:
        return None
    return sum(ras) / 4, sum(decs) / 4


def _square(ra: float, dec: float, side: float) -> dict[str, Any]:
    """A square of `side` degrees, sides along RA and Dec, at most 88 degrees from the equator."""
    dec = max(-87.5, min(87.5, dec))
    wide, high = side / 2 / math.cos(math.radians(dec)), side / 2
    corners = ((-wide, -high), (-wide, high), (wide, high), (wide, -high), (-wide, -high))
    ring = [[round((ra + x) % 360, 7), round(dec + y, 7)] for x, y in corners]
    return {"type": "Polygon", "coordinates": [ring]}


def _iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
