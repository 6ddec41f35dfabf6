"""The header cards of a made-up frame: about 200, half of them the same in every frame, as in real ones."""

from __future__ import annotations

from random import Random
from typing import Any

SAME: dict[str, Any] = {
    "SIMPLE": True, "NAXIS": 2, "NAXIS1": 4096, "NAXIS2": 4096, "EXTEND": True, "BSCALE": 1.0, "BZERO": 32768.0,
    "ORIGIN": "LCOGT", "HDRVER": "LCOGT-HDR-1.4.0", "DATADICV": "LCOGT-DIC.FITS-0.11.0", "OBSID": "N/A",
    "BLKTYPE": "POND", "BLKMNPH": 1.0, "BLKMNDST": 30.0, "BLKSEECO": "N/A", "BLKTRNCO": "N/A", "BLKAIRCO": 2.0,
    "SCHEDSEE": "N/A", "SCHEDTRN": "N/A", "SCHEDNAM": "POND", "TRIGGER": "N/A", "OBRECIPE": "N/A", "PCRECIPE": "N/A",
    "PPRECIPE": "N/A", "CAT-EPOC": 2000.0, "SRCTYPE": "EXTRASOLAR", "PM-RA": 0.0, "PM-DEC": 0.0, "PARALLAX": 0.0,
    "RADVEL": 0.0, "RATRACK": 0.0, "DECTRACK": 0.0, "TELMODE": "AUTOMATIC", "TAGID": "LCOGT", "OBSNOTE": "",
    "INSSTATE": "OKAY", "CONFMODE": "full_frame", "CONFNAME": "N/A", "GAIN": 2.3, "RDNOISE": 7.9, "DARKCURR": 0.0,
    "SATURATE": 128000.0, "MAXLIN": 120000.0, "RDSPEED": 500.0, "DETSIZE": "[1:4096,1:4096]", "AMPNAME": "default",
    "CCDSEC": "N/A", "CCDSUM": "1 1", "BIASSEC": "N/A", "DATASEC": "[1:4096,1:4096]", "TRIMSEC": "[1:4096,1:4096]",
    "ROI": "N/A", "DETSEC": "N/A", "CCDXPIXE": 1.5e-05, "CCDYPIXE": 1.5e-05, "PIXSCALE": 0.389, "CCDSTEMP": -100.0,
    "CCDSESIG": "N/A", "FILTERI1": "Air", "FILTERI2": "Air", "FILTER1": "air", "FILTER2": "air", "TIMESYS": "UTC",
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 2048.0, "CRPIX2": 2048.0, "CUNIT1": "deg", "CUNIT2": "deg",
    "RADESYS": "ICRS", "TELSTATE": "OKAY", "ENGSTATE": "N/A", "TCSSTATE": "OKAY", "TCSVER": "0.7.1",
    "TPNTMODL": "2021", "UT1-UTC": -0.10731, "POLARMOX": 0.1204, "POLARMOY": 0.2983, "EOPSRC": "IERS BULL. A",
    "ROLLERDR": 0.0, "ROLLERND": 0.0, "FOCDMD": 0.0, "FOCTELZP": 0.74, "FOCTOFF": 0.0804, "FOCZOFF": 0.0535,
    "FOCSTAT": "HALTED", "M1COVER": "STOWED", "M1HRTMN": "STOWED", "AGFILTER": "air", "AGMODE": "YES",
    "AGSTATE": "GUIDING_CLOSED_LOOP", "ENC1STAT": "OPEN", "WMSSTATE": "OKAY", "WMSRAIN": "CLEAR", "WMSMOIST": 261.1,
    "MOONSTAT": "UP", "FRMTOTAL": 5, "TELESCOP": "1m0-05", "HEIGHT": 2201.0, "LATITUDE": -30.1673833,
    "LONGITUD": -70.8047889, "ENCLOSUR": "Dome-01", "SITE": "LCOGT node at Cerro Tololo",
}  # fmt: skip

MEASURED = (
    ("AIRMASS", 1.0, 2.0, 7), ("AMSTART", 1.0, 2.0, 7), ("AMEND", 1.0, 2.0, 7), ("ALTITUDE", 30, 90, 7),
    ("AZIMUTH", 0, 360, 7), ("SUNALT", -60, -20, 7), ("SUNDIST", 60, 170, 7), ("MOONFRAC", 0, 1, 7),
    ("MOONDIST", 30, 150, 7), ("MOONALT", -70, 70, 7), ("FOCPOSN", -1, 1, 7), ("FOCTEMP", 4, 20, 2),
    ("AGFWHM", 1, 3, 5), ("AGFOCUS", -3, 3, 4), ("ENCAZ", 0, 360, 7), ("WMSHUMID", 15, 85, 2),
    ("WMSTEMP", 4, 20, 2), ("WMSPRES", 760, 820, 7), ("WINDSPEE", 0, 25, 7), ("WINDDIR", 0, 360, 1),
    ("WMSDEWPT", -4, 12, 2), ("WMSCLOUD", -40, -35, 7), ("WMSSKYBR", 18, 22, 2), ("TUBETEMP", 4, 20, 7),
    ("REFPRES", 760, 820, 7), ("REFTEMP", 4, 20, 2), ("REFHUMID", 15, 85, 2), ("CCDATEMP", -100, -99.9, 3),
)  # fmt: skip

REDUCED: dict[str, Any] = {
    "PIPEVER": "1.8.0", "L1STATBI": 1, "L1STATDA": 1, "L1STATFL": 1, "L1STATTR": 1, "L1STATSH": 1, "L1STATBP": 1,
    "WCSERR": 0, "WCSRDRES": "0.2/0.2", "WCCATTYP": "GAIA-DR2", "WCSRFCAT": "gaia.fits", "EXTNAME": "SCI",
    "EXTVER": 1, "QC": 0, "L1QCVER": "1.2", "NCOMBINE": 1,
}  # fmt: skip
MEASURED_REDUCED = (
    ("L1MEAN", 100, 4100, 9), ("L1MEDIAN", 100, 4100, 9), ("L1SIGMA", 5, 45, 9), ("L1SKYBRT", 18, 22, 4),
    ("L1FWHM", 1, 4, 4), ("L1ELLIP", 0, 0.3, 5), ("L1ELLIPA", -90, 90, 3), ("L1ZP", 22, 25, 5),
    ("L1ZPERR", 0.01, 0.06, 5), ("L1COLOR", 0, 0.1, 5), ("WCSDELRA", -5, 5, 3), ("WCSDELDE", -5, 5, 3),
    ("MEDSKY", 100, 4100, 4), ("SATFRAC", 0, 0.001, 7), ("PNTOFST", 0, 12, 4),
)  # fmt: skip


def headers(
    frame: dict[str, Any], chance: Random, ra: float, dec: float, *, number: int, reduced: bool
) -> dict[str, Any]:
    """All cards of one frame; what agrees with the record is taken from it."""
    observed, scale = frame["observation_date"][:-1], SAME["PIXSCALE"] / 3600
    cards = dict(SAME)
    cards.update(
        {
            "BITPIX": -32 if reduced else 16,
            "SITEID": frame["site_id"],
            "TELID": frame["telescope_id"],
            "ENCID": "doma",
            "INSTRUME": frame["instrument_id"],
            "DETECTID": f"DB-{frame['instrument_id']}",
            "DETECTOR": f"DB-{frame['instrument_id']}",
            "PROPID": frame["proposal_id"],
            "USERID": f"user.{number // 10 % 900:03d}",
            "OBJECT": frame["target_name"] or "N/A",
            "OBSTYPE": frame["configuration_type"],
            "MOLTYPE": frame["configuration_type"],
            "GROUPID": f"req {frame['request_id']} - {frame['target_name']}",
            "TRACKNUM": f"{1_500_000 + number // 60:010d}",
            "REQNUM": frame["request_id"] and f"{frame['request_id']:010d}",
            "BLKUID": frame["observation_id"],
            "MOLUID": str(990_000_000 + number // 10 * 3),
            "BLKSDATE": observed[:19],
            "BLKEDATE": observed[:19],
            "DATE": observed[:19],
            "DATE-OBS": observed,
            "DAY-OBS": frame["observation_day"].replace("-", ""),
            "UTSTART": observed[11:],
            "UTSTOP": observed[11:],
            "MJD-OBS": round(59519 + number * 157 / 86400, 8),
            "L1PUBDAT": frame["public_date"][:-1],
            "RLEVEL": frame["reduction_level"],
            "EXPTIME": frame["exposure_time"],
            "REQTIME": frame["exposure_time"],
            "FILTER": frame["primary_optical_element"],
            "FILTER3": frame["primary_optical_element"],
            "FILTERI3": f"{frame['primary_optical_element']}-{number // 10 % 40:03d}",
            "FRAMENUM": number % 10_000,
            "MOLFRNUM": number % 5 + 1,
            "MOLNUM": number // 10 % 40,
            "ICSVER": f"main@0x{number // 30_000 * 7919 % 268435456:07x}",
            "RA": _sexagesimal(ra / 15),
            "DEC": _sexagesimal(dec),
            "CAT-RA": _sexagesimal(ra / 15),
            "CAT-DEC": _sexagesimal(dec),
            "OFST-RA": _sexagesimal(ra / 15),
            "OFST-DEC": _sexagesimal(dec),
            "TPT-RA": _sexagesimal(ra / 15),
            "TPT-DEC": _sexagesimal(dec),
            "LST": _sexagesimal(number * 157 / 3600 % 24),
            "CRVAL1": round(ra, 7),
            "CRVAL2": round(dec, 7),
            "CD1_1": round(-scale, 9),
            "CD1_2": 0.0,
            "CD2_1": 0.0,
            "CD2_2": round(scale, 9),
            "CHECKSUM": f"{chance.getrandbits(64):016x}",
            "DATASUM": str(chance.getrandbits(32)),
        }
    )
    for name, low, high, digits in MEASURED:
        cards[name] = round(chance.uniform(low, high), digits)
    if reduced:
        cards.update(REDUCED)
        for name, low, high, digits in MEASURED_REDUCED:
            cards[name] = round(chance.uniform(low, high), digits)
        names = ("ORIGNAME", "L1IDBIAS", "L1IDDARK", "L1IDFLAT")
        cards.update(zip(names, frame["related_frame_filenames"], strict=False))
        cards["WCSIMCAT"] = f"{frame['basename']}_cat.fits"
        cards["WCSMATCH"], cards["WCSNREF"] = chance.randrange(200), chance.randrange(500)
    return cards


def _sexagesimal(value: float) -> str:
    total = round(abs(value) * 3_600_000)
    sign = "-" if value < 0 else ""
    return f"{sign}{total // 3_600_000:02d}:{total // 60_000 % 60:02d}:{total // 1000 % 60:02d}.{total % 1000:03d}"
