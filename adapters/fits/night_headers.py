"""The header of a made-up frame: some 150 cards, of the kind that a robotic telescope writes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from astropy.io.fits import Header

from adapters.fits.night_plan import Exposure

FIELD = 26.0
"""Arcminutes along a side."""

Card = tuple[str, bool | int | float | str, str]
_MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)


def header(exposure: Exposure, size: int) -> Header:
    """All cards but those that describe the array itself."""
    cards = _observation(exposure) + _schedule(exposure) + _site(exposure) + _camera(exposure, size)
    cards += _environment(exposure) + _pointing(exposure)
    if exposure.target is not None:
        cards += _world_coordinates(exposure, size)
    if exposure.level:
        cards += _reduction(exposure)
    return Header(cards)


def _observation(exposure: Exposure) -> list[Card]:
    start, end = exposure.start, exposure.start + timedelta(seconds=exposure.exposure_time)
    public = exposure.target is None or exposure.target.public
    target = exposure.target
    return [
        ("DATE", f"{start:%Y-%m-%d}", "[UTC] Date this file was written"),
        ("DATE-OBS", _stamp(start), "[UTC] Start of the exposure"),
        ("DAY-OBS", f"{exposure.day:%Y%m%d}", "[UTC] Night at the site"),
        ("UTSTART", f"{start:%H:%M:%S.%f}"[:-3], "[UTC] Start of the exposure"),
        ("UTSTOP", f"{end:%H:%M:%S.%f}"[:-3], "[UTC] End of the exposure"),
        ("MJD-OBS", round((start - _MJD_ZERO) / timedelta(days=1), 8), "[d] Modified Julian date of the start"),
        ("EXPTIME", exposure.exposure_time, "[s] Exposure time"),
        ("REQTIME", exposure.exposure_time, "[s] Exposure time asked for"),
        ("FILTER", exposure.optical_element, "Filter in the beam"),
        ("FILTER1", exposure.optical_element, "Wheel 1"),
        ("FILTERI1", exposure.optical_element, "Wheel 1, identity"),
        ("FILTER2", "air", "Wheel 2"),
        ("FILTERI2", "air", "Wheel 2, identity"),
        ("OBSTYPE", exposure.configuration_type, "What kind of frame this is"),
        ("OBJECT", target.name if target else "N/A", "Name of the target"),
        ("SRCTYPE", "EXTRASOLAR" if target else "N/A", "Kind of source"),
        ("OBSTELEM", exposure.optical_element, "Optical element in the request"),
        ("RLEVEL", exposure.level, "Reduction level"),
        ("ORIGNAME", f"{exposure.named(exposure.letter + '00')}.fits", "Name at the camera"),
        ("TELSTATE", "AVAILABLE", "State of the telescope"),
        (
            "L1PUBDAT",
            _stamp(start if public else start + timedelta(days=365)),
            "[UTC] The frame is public from here on",
        ),
        ("ORIGIN", "Starferry", "Where the file was made"),
        ("OBSERVER", "Robot", "Who was there"),
        ("OBRECIPE", "N/A", "Observing recipe"),
        ("TIMESYS", "UTC", "Time scale"),
        ("OBSNOTE", "", "Notes"),
    ]


def _schedule(exposure: Exposure) -> list[Card]:
    target, block = exposure.target, exposure.block
    cards: list[Card] = [
        ("PROPID", target.proposal if target else "calibrate", "Proposal"),
        ("USERID", target.observer if target else "calibrate", "Who asked for it"),
        ("TAGID", "SFY", "Organization that shares out the time"),
        ("BLKUID", f"{400_000_000 + block}", "Scheduled block"),
        ("REQNUM", f"{3_000_000 + block:010}" if target else "UNSPECIFIED", "Request"),
        ("TRACKNUM", f"{1_500_000 + block:010}" if target else "UNSPECIFIED", "Group of requests"),
        ("MOLUID", f"{9_000_000 + block}", "Configuration within the block"),
        ("MOLNUM", 1, "Number of the configuration"),
        ("MOLTYPE", exposure.configuration_type, "Type of the configuration"),
        ("MOLFRNUM", exposure.number, "Exposure within the configuration"),
        ("FRMTOTAL", 1, "Exposures in the configuration"),
        ("FRAMENUM", exposure.number, "Exposures so far tonight"),
        ("BLKTYPE", "POND", "Kind of block"),
        ("BLKAIRCO", 2.0, "Airmass allowed"),
        ("BLKMNPH", 1.0, "Lunar phase allowed"),
        ("BLKMNDST", 30.0, "[deg] Distance from the Moon required"),
        ("BLKSEECO", "N/A", "Seeing required"),
        ("BLKTRNCO", "N/A", "Transparency required"),
        ("SCHEDNAM", "POND", "Scheduler"),
        ("SCHEDSEE", "N/A", "[arcsec] Seeing that was forecast"),
        ("SCHEDTRN", "N/A", "[%] Transparency that was forecast"),
        ("BLKSDATE", _stamp(exposure.start - timedelta(seconds=30)), "[UTC] Start of the block"),
        ("BLKEDATE", _stamp(exposure.start + timedelta(seconds=210)), "[UTC] End of the block"),
    ]
    return cards


def _site(exposure: Exposure) -> list[Card]:
    telescope = exposure.telescope
    metres = 1.0 if telescope.telescope.startswith("1m") else 0.4
    return [
        ("SITEID", telescope.site, "Site"),
        ("SITE", f"Observatory {telescope.site}", "Site, in words"),
        ("ENCID", telescope.enclosure, "Enclosure"),
        ("ENCLOSUR", f"Dome {telescope.enclosure}", "Enclosure, in words"),
        ("TELID", telescope.telescope, "Telescope"),
        ("TELESCOP", telescope.prefix[3:], "Telescope, in words"),
        ("LATITUDE", telescope.latitude, "[deg] North"),
        ("LONGITUD", telescope.longitude, "[deg] East"),
        ("HEIGHT", telescope.height, "[m] Above sea level"),
        ("TELMODE", "AUTOMATIC", "How the telescope is run"),
        ("TELDIAM", metres, "[m] Aperture"),
        ("FOCALLEN", 8100.0 * metres, "[mm] Focal length"),
        ("INSTRUME", telescope.instrument, "Instrument"),
        ("INSTYPE", "1m0-SciCam" if metres == 1.0 else "0m4-SciCam", "Kind of instrument"),
        ("AGCAM", "ef" + telescope.instrument[2:], "Guide camera"),
        ("AGSTATE", "GUIDING" if exposure.target else "IDLE", "Guider"),
        ("AGMODE", "YES" if exposure.target else "OFF", "Guiding asked for"),
        ("AGLCKFRC", 98.5 if exposure.target else 0.0, "[%] Time with lock"),
        ("AGRMS", 0.21, "[arcsec] Guiding error"),
    ]


def _camera(exposure: Exposure, size: int) -> list[Card]:
    region = f"[1:{size},1:{size}]"
    return [
        ("CCDSUM", "1 1", "Binning"),
        ("CCDXBIN", 1, "[pixel] Binning along x"),
        ("CCDYBIN", 1, "[pixel] Binning along y"),
        ("CONFMODE", "full_frame", "Readout mode"),
        ("DETECTID", f"D{exposure.telescope.instrument}", "Detector"),
        ("DETSIZE", region, "Whole detector"),
        ("DETSEC", region, "This part of the detector"),
        ("CCDSEC", region, "This part of the chip"),
        ("DATASEC", region, "Exposed pixels"),
        ("BIASSEC", "N/A", "Overscan"),
        ("TRIMSEC", region, "Pixels to keep"),
        ("ROI", "N/A", "Region of interest"),
        ("GAIN", 1.0 if exposure.level else 1.4, "[electron/count] Gain"),
        ("RDNOISE", 6.0, "[electron] Read noise"),
        ("DARKCURR", 0.02, "[electron/pixel/s] Dark current"),
        ("SATURATE", 32767.0, "[count] Saturation"),
        ("MAXLIN", 30000.0, "[count] Linear up to here"),
        ("RDSPEED", 6.5, "[microsecond/pixel] Readout"),
        ("PIXSCALE", round(FIELD * 60 / size, 6), "[arcsec/pixel] Scale"),
        ("PIXSIZE", 15.0, "[micron] Pixel"),
        ("CCDSTEMP", -100.0, "[degC] Detector should be at"),
        ("CCDATEMP", -99.9, "[degC] Detector is at"),
        ("CCDSESIG", 0.05, "[degC] Scatter of its temperature"),
        ("SHUTTER", "OPEN" if exposure.configuration_type not in ("BIAS", "DARK") else "CLOSED", "Shutter"),
        ("INSSTATE", "OKAY", "State of the instrument"),
        ("ICSVER", "1.0", "Camera software"),
        ("BUNIT", "electron" if exposure.level else "adu", "Unit of a pixel"),
    ]


def _environment(exposure: Exposure) -> list[Card]:
    drift = (exposure.number % 7) * 0.1
    return [
        ("WMSSTATE", "OKAY", "Weather station"),
        ("WMSHUMID", 42.0 + drift, "[%] Humidity"),
        ("WMSTEMP", 11.5 - drift, "[degC] Air"),
        ("WMSPRES", 882.1, "[hPa] Pressure"),
        ("WMSDEWPT", -1.0, "[degC] Dew point"),
        ("WINDSPEE", 9.5 + drift, "[km/h] Wind"),
        ("WINDDIR", 210.0, "[deg] Wind comes from"),
        ("WMSRAIN", "CLEAR", "Rain"),
        ("WMSMOIST", 0.0, "Moisture"),
        ("WMSCLOUD", -38.0, "[degC] Sky"),
        ("WMSSKYBR", 21.3, "[mag/arcsec2] Sky brightness"),
        ("SKYMAG", 21.1, "[mag/arcsec2] Sky brightness, modelled"),
        ("TUBETEMP", 11.2, "[degC] Tube"),
        ("M1TEMP", 11.8, "[degC] Primary mirror"),
        ("M2TEMP", 11.0, "[degC] Secondary mirror"),
        ("FOCTEMP", 11.1, "[degC] At the focuser"),
        ("FOCPOSN", 0.12 + drift / 100, "[mm] Focus"),
        ("FOCDMD", 0.12, "[mm] Focus asked for"),
        ("FOCTOBF", 0.0, "[mm] Filter's own focus"),
        ("FOCAFOFF", 0.0, "[mm] Autofocus"),
        ("FOCOBOFF", 0.0, "[mm] Defocus"),
        ("M1COVER", "OPEN", "Mirror cover"),
        ("DOMESTAT", "OPEN", "Dome"),
        ("MOONSTAT", "DOWN", "Moon"),
        ("MOONFRAC", 0.31, "Lit part of the Moon"),
        ("MOONDIST", 71.4, "[deg] Moon from target"),
        ("MOONALT", -12.5, "[deg] Moon above the horizon"),
        ("SUNDIST", 121.7, "[deg] Sun from target"),
        ("SUNALT", -35.2, "[deg] Sun above the horizon"),
    ]


def _pointing(exposure: Exposure) -> list[Card]:
    target = exposure.target
    ra = sexagesimal(target.ra / 15) if target else "N/A"
    dec = sexagesimal(target.dec, signed=True) if target else "N/A"
    return [
        ("RA", ra, "[HH:MM:SS.sss] Where the telescope points"),
        ("DEC", dec, "[sDD:MM:SS.ss] Where the telescope points"),
        ("CAT-RA", ra, "[HH:MM:SS.sss] From the catalog"),
        ("CAT-DEC", dec, "[sDD:MM:SS.ss] From the catalog"),
        ("OFST-RA", ra, "[HH:MM:SS.sss] With offsets"),
        ("OFST-DEC", dec, "[sDD:MM:SS.ss] With offsets"),
        ("CAT-EPOC", 2000.0, "[yr] Epoch of the catalog"),
        ("PM-RA", 0.0, "[arcsec/yr] Proper motion"),
        ("PM-DEC", 0.0, "[arcsec/yr] Proper motion"),
        ("PARALLAX", 0.0, "[arcsec] Parallax"),
        ("RADVEL", 0.0, "[km/s] Radial velocity"),
        ("TRACKING", "SIDEREAL" if target else "OFF", "Tracking"),
        ("ROTMODE", "SKY", "Rotator"),
        ("ROTSKYPA", 0.0, "[deg] Position angle"),
        ("ROTANGLE", 0.0, "[deg] Rotator"),
        ("ROTTYPE", "EQUATORIAL", "Kind of rotator"),
        ("AZIMUTH", 163.2 + exposure.number, "[deg] At the start"),
        ("ALTITUDE", 55.0 + exposure.number % 20, "[deg] At the start"),
        ("ZDIST", 35.0 - exposure.number % 20, "[deg] At the start"),
        ("AIRMASS", 1.22, "At the middle of the exposure"),
        ("AMSTART", 1.22, "At the start"),
        ("AMEND", 1.23, "At the end"),
        ("POLARMOX", 0.0, "[arcsec] Polar motion"),
        ("POLARMOY", 0.0, "[arcsec] Polar motion"),
        ("UT1-UTC", 0.04, "[s] Earth rotation"),
        ("REFPRES", 882.1, "[hPa] For refraction"),
        ("REFTEMP", 11.5, "[degC] For refraction"),
        ("REFHUMID", 42.0, "[%] For refraction"),
    ]


def _world_coordinates(exposure: Exposure, size: int) -> list[Card]:
    assert exposure.target is not None
    step = FIELD / 60 / size
    return [
        ("WCSAXES", 2, "Axes of the sky"),
        ("CTYPE1", "RA---TAN", "Gnomonic projection"),
        ("CTYPE2", "DEC--TAN", "Gnomonic projection"),
        ("CUNIT1", "deg", "Unit of CRVAL1"),
        ("CUNIT2", "deg", "Unit of CRVAL2"),
        ("CRPIX1", (size + 1) / 2, "[pixel] Reference point"),
        ("CRPIX2", (size + 1) / 2, "[pixel] Reference point"),
        ("CRVAL1", exposure.target.ra, "[deg] RA there"),
        ("CRVAL2", exposure.target.dec, "[deg] Dec there"),
        ("CD1_1", -step, "[deg/pixel]"),
        ("CD1_2", 0.0, "[deg/pixel]"),
        ("CD2_1", 0.0, "[deg/pixel]"),
        ("CD2_2", step, "[deg/pixel]"),
        ("RADESYS", "ICRS", "Frame of the coordinates"),
        ("EQUINOX", 2000.0, "[yr] Equinox"),
        ("WCSERR", 0, "Zero when the fit succeeded"),
    ]


def _reduction(exposure: Exposure) -> list[Card]:
    telescope = exposure.telescope
    masters = f"{telescope.prefix}-{telescope.instrument}-{exposure.day:%Y%m%d}"
    return [
        ("L1IDBIAS", f"{masters}-bias-full_frame.fits.fz", "Master bias"),
        ("L1IDDARK", f"{masters}-dark-full_frame.fits.fz", "Master dark"),
        ("L1IDFLAT", f"{masters}-skyflat-full_frame-{exposure.optical_element}.fits.fz", "Master flat"),
        ("L1IDMASK", f"{telescope.prefix}-{telescope.instrument}-bpm-full_frame.fits.fz", "Bad-pixel mask"),
        ("L1STATBI", 1, "Bias was subtracted"),
        ("L1STATDA", 1, "Dark was subtracted"),
        ("L1STATFL", 1, "Divided by the flat"),
        ("L1STATOV", 0, "No overscan"),
        ("L1STATTR", 1, "Trimmed"),
        ("L1MEAN", 101.2, "[electron] Mean of the sky"),
        ("L1MEDIAN", 100.8, "[electron] Median of the sky"),
        ("L1SIGMA", 6.1, "[electron] Scatter of the sky"),
        ("L1FWHM", 1.9, "[arcsec] Width of a star"),
        ("L1ELLIP", 0.08, "Ellipticity of a star"),
        ("L1ZP", 23.4, "[mag] Zero point"),
        ("PIPEVER", "1.0", "Pipeline"),
    ]


def sexagesimal(value: float, *, signed: bool = False) -> str:
    """Hours or degrees as `HH:MM:SS.sss`, with a sign where asked for."""
    thousandths = round(abs(value) * 3_600_000)
    units, rest = divmod(thousandths, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    sign = ("-" if value < 0 else "+") if signed else ""
    return f"{sign}{units:02}:{minutes:02}:{rest / 1000:06.3f}"


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
