"""What `GET /frames/` can be asked, from the tables of its parser (contracts: 1.6, 1.7)."""

from __future__ import annotations

from collections.abc import Sequence

from api.ocs import filters
from api.openapi import DAY, MOMENT, NUMBER, TEXT, TRUTH, WHOLE, Parameter, Schema
from projections.frames.search import ORDERINGS

TRUTHY: Schema = {"type": "string", "enum": ["true", "false"]}
FORMAT = Parameter("format", {"type": "string", "enum": ["json", "api"]}, "JSON whatever the Accept header says.")
AT = Parameter(
    "at",
    TEXT,
    "Superusers only: as of this position of the log, or this time (without an offset: UTC). The header "
    "`Starferry-Position` and the links name the position; with it the same rows come for ever.",
)
_GEOMETRY = (
    "Right ascension and declination in degrees: WKT such as `POINT(10.68 41.27)`, EWKT, GeoJSON or hexadecimal EWKB. "
    "Edges are great circles."
)
_RELATION = {"covers": "The footprint covers this geometry.", "intersects": "The footprint meets this geometry."}


def search_parameters(types: Sequence[str], science_types: Sequence[str]) -> list[Parameter]:
    """The filters; all that are given must hold. `types` are the configuration types that the archive accepts."""
    return [
        Parameter("start", MOMENT, "Observed then or later. Without an offset: UTC."),
        Parameter("end", MOMENT, "Observed then or earlier; a bare date means its first moment."),
        *_equal(filters.EQUAL_TIME, MOMENT),
        *_equal(filters.EQUAL_DAY, DAY),
        *_equal(filters.EQUAL_TEXT, TEXT),
        *_equal(filters.EQUAL_NUMBER, WHOLE),
        Parameter("basename", TEXT, "Part of the basename, in any case."),
        Parameter("OBJECT", TEXT, "Part of the target's name, in any case."),
        Parameter("target_name", TEXT, "Part of the target's name, in any case and without regard to accents."),
        Parameter("target_name_exact", TEXT, "The target's name, with or without its accents."),
        Parameter("empty_target_name", TRUTHY, "Any value: frames without a target's name."),
        Parameter("exposure_time", NUMBER, "At least so many seconds."),
        Parameter("EXPTIME", NUMBER, "The same under its older name."),
        Parameter(
            "include_configuration_type", _choice(types), "Only these types; repeat it for several.", repeated=True
        ),
        Parameter("exclude_configuration_type", _choice(types), "None of these types; repeatable.", repeated=True),
        Parameter("exclude_OBSTYPE", _choice(types), "The same under its older name.", repeated=True),
        Parameter("exclude_calibrations", TRUTH, f"true: only {', '.join(science_types)}."),
        Parameter("public", TRUTH, "false: only frames that aren't public, or of the asker's own proposals."),
        Parameter("submitter", TEXT, "The header USERID, exactly."),
        *(Parameter(name, TEXT, f"{_RELATION[name]} {_GEOMETRY}") for name in ("covers", "intersects")),
    ]


def include_parameters() -> list[Parameter]:
    """What a frame is shown with."""
    return [
        Parameter("include_related_frames", TRUTHY, "false: without the ids of related frames."),
        Parameter("include_thumbnails", TRUTHY, "true: with thumbnails."),
    ]


def paging_parameters(default: int, most: int) -> list[Parameter]:
    """Pages by limit and offset; what can't be understood counts as not given."""
    return [
        Parameter("limit", {"type": "integer", "minimum": 1, "default": default}, f"Rows of a page, at most {most}."),
        Parameter("offset", {"type": "integer", "minimum": 0, "default": 0}, "Rows to skip."),
    ]


def list_parameters() -> list[Parameter]:
    """What else a list of frames understands."""
    names = ", ".join(sorted(ORDERINGS))
    return [
        Parameter("ordering", TEXT, f"{names}; several separated by commas, `-` before one for the other direction."),
        Parameter("force_count", TRUTHY, "Any value: count exactly, for everybody who is logged in."),
        Parameter(
            "pagination_style", {"type": "string", "enum": ["cursor"]}, "Pages by cursor, without counts, to any depth."
        ),
        Parameter("cursor", TEXT, "Where to go on, from the link that a page gave."),
        Parameter("after", TEXT, "Where a `next` link goes on, so that nothing new shifts the pages."),
    ]


def _equal(table: dict[str, str], schema: Schema) -> list[Parameter]:
    """Equality filters; one whose name differs from its column's is an older name or says what it does."""
    return [
        Parameter(name, schema, "Exactly this." if name == column else f"`{column}` exactly.")
        for name, column in table.items()
    ]


def _choice(types: Sequence[str]) -> Schema:
    return {"type": "string", "enum": list(types)}
