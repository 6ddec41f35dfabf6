"""What a sender says of a file, by header key: the field `metadata` of an ingest."""

from __future__ import annotations

import msgspec

from domain.errors import InvalidInput

Metadata = dict[str, bool | int | float | str | None]

LONGEST_KEY = 80
"""Characters; a FITS card has no more."""

_decoder = msgspec.json.Decoder(Metadata)


def parse_metadata(text: str) -> Metadata:
    """A JSON object of header key to text, number, true, false or null. Raises InvalidInput."""
    try:
        metadata = _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
        raise InvalidInput(
            f"metadata must be a JSON object of header keys with texts, numbers, true, false or null: {error}.",
            field="metadata",
        ) from error
    for key, value in metadata.items():
        if not key.strip() or len(key) > LONGEST_KEY or not key.isprintable():
            raise InvalidInput(
                f"metadata has the key {key[:LONGEST_KEY]!r}; a key is 1 to {LONGEST_KEY} printable characters.",
                field="metadata",
            )
        if isinstance(value, str) and "\0" in value:
            raise InvalidInput(f"metadata has a null character in the value of {key}.", field="metadata")
    return metadata
