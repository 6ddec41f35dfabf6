"""Bodies of the frame operations: what is sent and what is answered (contracts: 1.5, 1.8, 1.10, 1.11)."""

from __future__ import annotations

from collections.abc import Sequence

from api.ocs.body_fields import TEXT_LENGTHS
from api.ocs.record_body import KEY_LENGTH
from api.openapi import DAY, MOMENT, NUMBER, TEXT, TRUTH, WHOLE, Schema, array, nullable, record, ref, struct_schemas
from projections.frames.rows import FrameRow


def frame_schemas(types: Sequence[str]) -> dict[str, Schema]:
    """The bodies of these operations."""
    fields = _record_fields(types)
    rows = struct_schemas(FrameRow)
    return {
        **rows,
        "FrameRow": _with_kinds(rows["FrameRow"]),
        "VersionRow": _with_kinds(rows["VersionRow"]),
        "FramePage": record(
            {
                "count": WHOLE,
                "next": nullable(TEXT),
                "previous": nullable(TEXT),
                "results": array(ref("FrameRow")),
                "count_estimated": TRUTH,
            },
            "count",
            "count_estimated",
        ),
        "RecordedFrame": record(
            {
                "id": WHOLE,
                "basename": TEXT,
                "area": nullable(ref("Polygon")),
                "related_frames": array(WHOLE),
                "version_set": array(ref("VersionRow")),
                "filename": TEXT,
                "url": TEXT,
                **{name: _shown(fields[name]) for name in fields if name in _SCALARS},
            },
            "filename",
            "url",
        ),
        "FrameRecord": {**record(fields, *_SCALARS - {"observation_day", "configuration_type"})},
        "FrameChange": {
            "type": "object",
            "properties": {
                **{name: fields[name] for name in [*_SCALARS_IN_ORDER, "area"]},
                "related_frames": array({"type": "integer", "minimum": 1}),
            },
        },
        "Polygon": record(
            {
                "type": {"const": "Polygon"},
                "coordinates": array({**array({**array(NUMBER), "minItems": 2}), "minItems": 4}),
            }
        ),
        "Aggregate": record(
            {
                **{name: array(TEXT) for name in "sites telescopes filters instruments obstypes proposals".split()},
                "generated_at": TEXT,
            }
        ),
        "ZipRequest": record(
            {
                "frame_ids": array({"type": "integer", "minimum": 1}),
                "uncompress": {**TRUTH, "default": False},
                "catalog_only": {**TRUTH, "default": False},
                "auth_token": TEXT,
            },
            "uncompress",
            "catalog_only",
            "auth_token",
        ),
    }


def _with_kinds(schema: Schema) -> Schema:
    """The struct's schema with what its types can't say: times are date-times in UTC, an area is a polygon."""
    properties = dict(schema["properties"])
    for name in ("observation_date", "public_date", "DATE_OBS", "L1PUBDAT"):
        if name in properties:
            properties[name] = nullable(MOMENT)
    if "created" in properties:
        properties["created"] = MOMENT
    if "area" in properties:
        properties["area"] = ref("Polygon")
    required = [name for name in schema["required"] if name not in _SOMETIMES]
    return {**schema, "properties": properties, "required": required}


_SOMETIMES = ("area", "related_frames", "thumbnails")
"""Left out where there is none, or where the asker doesn't want them."""


_SCALARS_IN_ORDER = (
    "observation_date observation_day proposal_id instrument_id target_name reduction_level site_id telescope_id "
    "exposure_time primary_optical_element public_date configuration_type observation_id request_id"
).split()
_SCALARS = frozenset(_SCALARS_IN_ORDER)


def _record_fields(types: Sequence[str]) -> dict[str, Schema]:
    number: Schema = {"type": "integer", "minimum": 0, "maximum": 2_147_483_647}
    name: Schema = {"type": "string", "minLength": 1}
    return {
        "basename": {**name, "maxLength": 1000},
        "area": nullable(ref("Polygon")),
        "headers": {"type": "object"},
        "related_frame_filenames": array(name),
        "version_set": array(
            record(
                {
                    "key": {**name, "maxLength": KEY_LENGTH},
                    "md5": {**name, "maxLength": 32},
                    "extension": {**name, "maxLength": 20},
                }
            )
        ),
        "observation_day": {"type": "string", "pattern": "^\\d{4}-?\\d{2}-?\\d{2}$", "examples": ["20261119"]},
        "configuration_type": {"type": "string", "enum": list(types)},
        "observation_date": nullable(MOMENT),
        "public_date": nullable(MOMENT),
        **{text: {"type": "string", "maxLength": longest} for text, longest in TEXT_LENGTHS.items()},
        "reduction_level": {"type": "integer", "minimum": -32768, "maximum": 32767},
        "exposure_time": nullable(NUMBER),
        "observation_id": nullable(number),
        "request_id": nullable(number),
    }


def _shown(schema: Schema) -> Schema:
    """A field as it is answered: a null that was stored is shown, a day has its dashes, limits aren't promised."""
    if "pattern" in schema:
        return nullable(DAY)
    return {"type": "string"} if schema.get("type") == "string" else schema
