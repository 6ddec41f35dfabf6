"""From a file's header to the headers that the archive keeps: dropped keys, null words, related names."""

from __future__ import annotations

from adapters.fits.cards import Value
from adapters.fits.settings import FitsSettings
from domain.frame_record import split_name


def is_blank(value: Value) -> bool:
    """Whether a header is there but says nothing."""
    return value is None or (isinstance(value, str) and not value.strip())


def cleaned(values: dict[str, Value], settings: FitsSettings) -> dict[str, Value]:
    """Drop blacklisted and nameless keys, make null words null, strip the extensions of related frames."""
    dropped = {*settings.header_blacklist, ""}
    integer_keys = settings.integer_keys
    related_keys = frozenset(settings.related_frame_keys)
    headers: dict[str, Value] = {}
    for key, value in values.items():
        if key in dropped:
            continue
        if isinstance(value, str):
            if value.strip() in settings.null_header_values:
                value = None if key in integer_keys else ""
            elif key in integer_keys and "NONE" in value.upper():
                value = None
        if key in related_keys and not is_blank(value):
            value = split_name(str(value).strip())[0]
        headers[key] = value
    return headers


def related_names(headers: dict[str, Value], settings: FitsSettings) -> tuple[str, ...]:
    """Basenames of the frames that this one was made from or goes with, in the order of the keys, each once."""
    names = (headers.get(key) for key in settings.related_frame_keys)
    return tuple(dict.fromkeys(str(name) for name in names if not is_blank(name)))
