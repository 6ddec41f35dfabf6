"""The tables of science-archive 2.x, as far as they are taken over: their columns, and what a column is when an older
release doesn't have it."""

from __future__ import annotations

FRAME = "frames_frame"
VERSION = "frames_version"
HEADERS = "frames_headers"
LINK = "frames_frame_related_frames"
THUMBNAIL = "frames_thumbnail"
USER = "auth_user"
TOKEN = "authtoken_token"  # noqa: S105
PROFILES = ("auth_profile_authprofile", "ocs_authentication_authprofile", "authentication_profile")
"""Where `api_token` of the portal may be: the name depends on the release."""

COLUMNS: dict[str, dict[str, str]] = {
    FRAME: {
        "id": "bigint",
        "basename": "text",
        "area": "text",
        "observation_date": "timestamptz",
        "observation_day": "date",
        "proposal_id": "text",
        "instrument_id": "text",
        "target_name": "text",
        "reduction_level": "int",
        "site_id": "text",
        "telescope_id": "text",
        "exposure_time": "float8",
        "primary_optical_element": "text",
        "public_date": "timestamptz",
        "configuration_type": "text",
        "observation_id": "bigint",
        "request_id": "bigint",
    },
    VERSION: {
        "id": "bigint",
        "frame_id": "bigint",
        "key": "text",
        "md5": "text",
        "extension": "text",
        "created": "timestamptz",
    },
    HEADERS: {"frame_id": "bigint", "data": "text"},
    LINK: {"id": "bigint", "from_frame_id": "bigint", "to_frame_id": "bigint"},
    THUMBNAIL: {
        "id": "bigint",
        "frame_id": "bigint",
        "basename": "text",
        "extension": "text",
        "size": "text",
        "key": "text",
    },
    USER: {
        "id": "bigint",
        "username": "text",
        "password": "text",
        "is_superuser": "boolean",
        "is_staff": "boolean",
        "is_active": "boolean",
    },
    TOKEN: {"key": "text", "user_id": "bigint"},
    **{profile: {"user_id": "bigint", "api_token": "text"} for profile in PROFILES},
}
"""Columns by table, each with the type as which it is read."""

NEEDED = (FRAME, VERSION, HEADERS, LINK)
"""Without these it isn't an archive of the OCS; the others come with newer releases, or not at all."""
