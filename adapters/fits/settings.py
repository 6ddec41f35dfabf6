"""What an observatory may set about the reading of frames, under the names that OCS programs use."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from adapters.fits.file_kinds import FILE_KINDS, FileKind, kinds_from_override
from domain.errors import Misconfigured

GIB = 1 << 30


class FitsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Header keys, required and dropped headers, null words, and the rules for public dates.

    Defaults are those of the OCS archive library 0.5.0. Fragments (`public_proposals`, `private_proposals`,
    `private_file_types`) match anywhere inside a text, with their case. `max_frame_bytes` bounds what one file may
    claim or unpack to.
    """

    required_headers: tuple[str, ...] = (
        "PROPID",
        "DATE-OBS",
        "DAY-OBS",
        "INSTRUME",
        "SITEID",
        "TELID",
        "OBSTYPE",
        "BLKUID",
    )
    required_thumbnail_metadata: tuple[str, ...] = (
        "frame_basename",
        "size",
        "DATE-OBS",
        "DAY-OBS",
        "INSTRUME",
        "SITEID",
        "TELID",
    )
    thumbnail_size_choices: tuple[str, ...] = ("small", "medium", "large")
    header_blacklist: tuple[str, ...] = ("HISTORY", "COMMENT")
    null_header_values: tuple[str, ...] = ("N/A", "UNSPECIFIED", "UNKNOWN")
    calibration_types: tuple[str, ...] = ("BIAS", "DARK", "SKYFLAT", "EXPERIMENTAL")
    public_proposals: tuple[str, ...] = ("EPO", "calib", "standard", "pointing")
    private_proposals: tuple[str, ...] = ("LCOEngineering",)
    private_file_types: tuple[str, ...] = ("-t00", "-x00")
    public_proposal_tags: tuple[str, ...] = ("public",)
    private_proposal_tags: tuple[str, ...] = ("private", "internal")
    days_until_public: int = 365

    observation_date_key: str = "DATE-OBS"
    observation_day_key: str = "DAY-OBS"
    observation_end_time_key: str = "UTSTOP"
    reduction_level_key: str = "RLEVEL"
    exposure_time_key: str = "EXPTIME"
    instrument_id_key: str = "INSTRUME"
    site_id_key: str = "SITEID"
    telescope_id_key: str = "TELID"
    observation_id_key: str = "BLKUID"
    request_id_key: str = "REQNUM"
    configuration_id_key: str = "MOLUID"
    requestgroup_id_key: str = "TRACKNUM"
    primary_optical_element_key: str = "FILTER"
    target_name_key: str = "OBJECT"
    configuration_type_key: str = "OBSTYPE"
    proposal_id_key: str = "PROPID"
    public_date_key: str = "L1PUBDAT"
    catalog_target_frame_key: str = "L1IDCAT"
    thumbnail_frame_basename_key: str = "frame_basename"
    thumbnail_size_key: str = "size"
    radius_key: str = "RADIUS"
    ra_key: str = "RA"
    dec_key: str = "DEC"
    related_frame_keys: tuple[str, ...] = (
        "L1IDBIAS",
        "L1IDDARK",
        "L1IDFLAT",
        "L1IDSHUT",
        "L1IDMASK",
        "L1IDFRNG",
        "L1IDCAT",
        "L1IDARC",
        "L1ID1D",
        "L1ID2D",
        "L1IDSUM",
        "TARFILE",
        "ORIGNAME",
        "ARCFILE",
        "FLATFILE",
        "GUIDETAR",
    )

    file_kinds: Mapping[str, FileKind] = FILE_KINDS
    max_frame_bytes: int = 16 * GIB

    @property
    def integer_keys(self) -> frozenset[str]:
        """The headers that hold a scheduler's number; what isn't a number there is null."""
        return frozenset(
            (self.observation_id_key, self.request_id_key, self.configuration_id_key, self.requestgroup_id_key)
        )

    def required_for(self, kind: FileKind) -> tuple[str, ...]:
        """The headers that a file of this kind must have. A picture of a frame need not repeat what its frame says."""
        return self.required_thumbnail_metadata if kind is FileKind.THUMBNAIL else self.required_headers

    @classmethod
    def variables(cls) -> dict[str, str]:
        """Every variable that is read here, with its default as text."""
        defaults = {}
        for field in msgspec.structs.fields(cls):
            match field.default:
                case tuple():
                    text = ",".join(field.default)
                case str() | int():
                    text = str(field.default)
                case _:
                    continue
            defaults[_variable(field.name)] = text
        return {**defaults, "FILETYPE_MAPPING_OVERRIDES": "{}"}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> FitsSettings:
        """Read OCS variables (`REQUIRED_HEADERS`, `RLEVEL`'s `REDUCTION_LEVEL_KEY`, …); absent ones keep defaults.

        An empty list variable means an empty list; an empty key variable keeps its default. Raises Misconfigured.
        """
        given: dict[str, object] = {}
        for field in msgspec.structs.fields(cls):
            text = environment.get(_variable(field.name))
            if text is None:
                continue
            if isinstance(field.default, tuple):
                given[field.name] = tuple(item for item in "".join(text.split()).split(",") if item)
            elif isinstance(field.default, str) and text.strip():
                given[field.name] = text.strip()
        for name, lowest, highest in (("days_until_public", 0, 365_000), ("max_frame_bytes", 1 << 20, 1 << 50)):
            variable = _variable(name)
            if environment.get(variable, "").strip():
                given[name] = _whole_number(variable, environment[variable], lowest, highest)
        override = environment.get("FILETYPE_MAPPING_OVERRIDES", "").strip()
        if override:
            given["file_kinds"] = {**FILE_KINDS, **kinds_from_override(override)}
        return msgspec.structs.replace(cls(), **given)


def _variable(name: str) -> str:
    return "STARFERRY_MAX_FRAME_BYTES" if name == "max_frame_bytes" else name.upper()


def _whole_number(variable: str, text: str, lowest: int, highest: int) -> int:
    digits = text.strip()
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 20 or not lowest <= int(digits) <= highest:
        raise Misconfigured(f"{variable} must be a whole number from {lowest} to {highest}, but it is {text[:40]!r}.")
    return int(digits)
