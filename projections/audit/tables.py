"""Tables of the audit read model, and how texts become the numbers in them.

It is an index beside the log, not a copy: what an event says is read from the log, by its position. A row has 60 bytes
and its index entries 67 more (docs/adr/0036): who, what and correlation are numbers here.
"""

from __future__ import annotations

import hashlib

TABLES = """
CREATE TABLE author (id int PRIMARY KEY, actor text NOT NULL, via text NOT NULL);
CREATE INDEX author_actor ON author (md5(actor));
CREATE TABLE kind (id smallint PRIMARY KEY, topic text NOT NULL UNIQUE);
CREATE TABLE event (
    position bigint PRIMARY KEY, at timestamptz NOT NULL, correlation bigint, author int NOT NULL,
    kind smallint NOT NULL
);
"""

INDEXES = """
CREATE INDEX event_correlation ON event (correlation) WHERE correlation IS NOT NULL;
CREATE INDEX event_author ON event (author);
CREATE INDEX event_kind ON event (kind);
"""
"""The last two have few values, each of which PostgreSQL stores once: 7 bytes an entry."""


def correlation_key(correlation: str) -> int | None:
    """64 bits that stand for a correlation; None for none. Two may share a key: whoever searches compares the text."""
    if not correlation:
        return None
    return int.from_bytes(hashlib.blake2b(correlation.encode(), digest_size=8).digest(), signed=True)


def storable(text: str) -> str:
    """Text as PostgreSQL can hold it."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
