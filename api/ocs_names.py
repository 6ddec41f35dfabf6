"""The settings of the OCS archive and its file library that SETTINGS doesn't hold: how headers are read, and names
that are accepted without doing anything (contracts: 1.13, 4.6)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

HEADER_RULES: Mapping[str, str] = MappingProxyType(
    {
        "REQUIRED_HEADERS": "headers that a frame must have",
        "REQUIRED_THUMBNAIL_METADATA": "what must be said of a thumbnail",
        "HEADER_BLACKLIST": "headers that aren't kept",
        "NULL_HEADER_VALUES": "words in headers that mean nothing",
        "CALIBRATION_TYPES": "configuration types that are public at once",
        "PUBLIC_PROPOSALS": "parts of the names of proposals that are public at once",
        "PRIVATE_PROPOSALS": "parts of the names of proposals that never become public",
        "PRIVATE_FILE_TYPES": "parts of the names of files that never become public",
        "PUBLIC_PROPOSAL_TAGS": "tags of the portal that make a proposal public at once",
        "PRIVATE_PROPOSAL_TAGS": "tags of the portal that keep a proposal from becoming public",
        "DAYS_UNTIL_PUBLIC": "days until other frames become public",
        "RELATED_FRAME_KEYS": "headers that name related frames",
        "FILETYPE_MAPPING_OVERRIDES": "extension (or `*`) to OCS file class, as a Python dict",
    }
)
"""What each means. Those that end in `_KEY` name the header that holds a value, and need no words."""

WITHOUT_EFFECT: Mapping[str, str] = MappingProxyType(
    {
        "DEBUG": "errors never show the program's inside",
        "CACHE_LOC": "processes share nothing but the database",
        "CACHE_BACKEND": "processes share nothing but the database",
        "NAVBAR_TITLE_TEXT": "the pages have their own titles",
        "NAVBAR_TITLE_URL": "the pages have their own titles",
        "TERMS_OF_SERVICE_URL": "the pages link to no terms",
        "DOCUMENTATION_URL": "the pages link to their own documentation",
        "IGNORED_CHARS": "the original never uses it either",
    }
)
"""Names that a configuration made for the archive may hold, and why they change nothing. A name that SETTINGS holds
is in force, whatever stands here."""
