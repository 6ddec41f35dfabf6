"""Headers as the original gives them, made into the form in which the log keeps them."""

from __future__ import annotations

import msgspec


def compact(text: str | bytes) -> msgspec.Raw:
    """The same JSON without spaces. The original takes any JSON for headers; what isn't an object becomes the one value
    of an object, under the name HEADERS."""
    raw = msgspec.json.format(text.encode() if isinstance(text, str) else text, indent=-1)
    return msgspec.Raw(raw if raw.startswith(b"{") else b'{"HEADERS":' + raw + b"}")
