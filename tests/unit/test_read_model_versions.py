"""A read model whose tables change gets a new version: databases have the old tables, and nothing else tells."""

from __future__ import annotations

import msgspec

from tests.golden.make import READ_MODELS, fingerprints


def test_tables_are_those_of_their_version() -> None:
    """Raise `version` of the read model, then run `python -m tests.golden.make`."""
    known = msgspec.json.decode(READ_MODELS.read_bytes())
    assert {name: known.get(name) for name in fingerprints()} == fingerprints()
