"""Bodies for `POST /frames/` and small FITS files, as tests want them."""

from __future__ import annotations

import io
import itertools
import secrets
from typing import Any

import numpy as np
from astropy.io.fits import Header, PrimaryHDU

_names = itertools.count(1)
PAST, FUTURE = "2016-01-01T00:00:00Z", "2999-01-01T00:00:00Z"
SQUARE = [[[10.0, 10.0], [11.0, 10.0], [11.0, 11.0], [10.0, 11.0], [10.0, 10.0]]]


def new_name(kind: str = "e00") -> str:
    """A basename that no other frame has."""
    return f"tst1m001-fa01-20240101-{next(_names):04}-{kind}"


def version(**changes: Any) -> dict[str, str]:
    """A version that no other frame has."""
    return {"key": secrets.token_hex(16), "md5": secrets.token_hex(16), "extension": ".fits.fz", **changes}


def record(**changes: Any) -> dict[str, Any]:
    """A body as the OCS ingester sends it: public, with one version, unless `changes` say otherwise."""
    return {
        "basename": new_name(),
        "area": {"type": "Polygon", "coordinates": SQUARE},
        "headers": {"SITEID": "tst", "EXPTIME": 30.0, "OBJECT": "M31"},
        "related_frame_filenames": [],
        "version_set": [version()],
        "observation_day": "2024-01-01",
        "configuration_type": "EXPOSE",
        "observation_date": "2024-01-01T03:04:05.678Z",
        "public_date": PAST,
        "proposal_id": "P-PUBLIC",
        "instrument_id": "fa01",
        "target_name": "M31",
        "site_id": "tst",
        "telescope_id": "1m0a",
        "primary_optical_element": "rp",
        "reduction_level": 0,
        "exposure_time": 30.0,
        "observation_id": None,
        "request_id": None,
        **changes,
    }


def fits_bytes(*, shape: tuple[int, ...] = (8, 8), drop: tuple[str, ...] = (), **cards: Any) -> bytes:
    """A small FITS file with all that the archive requires, unlike any other; `drop` names cards to leave out."""
    header = Header(
        [
            (name.replace("_", "-"), value)
            for name, value in {
                "PROPID": "P-PUBLIC",
                "DATE_OBS": "2024-01-01T03:04:05.678",
                "DAY_OBS": "20240101",
                "INSTRUME": "fa01",
                "SITEID": "tst",
                "TELID": "1m0a",
                "OBSTYPE": "EXPOSE",
                "BLKUID": 1,
                "REQNUM": 2,
                "RLEVEL": 0,
                "EXPTIME": 30.0,
                "FILTER": "rp",
                "OBJECT": "M31",
                "L1PUBDAT": "2016-01-01T00:00:00",
                "NONCE": secrets.token_hex(8),
                **cards,
            }.items()
            if name not in drop
        ]
    )
    out = io.BytesIO()
    PrimaryHDU(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), header).writeto(out)
    return out.getvalue()
