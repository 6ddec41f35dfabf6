"""The observations read model."""

from __future__ import annotations

from collections.abc import Sequence

from domain.event import Recorded
from domain.observations import DestinationsSelected, ObservationDiscovered, ObservationSubmitted
from projections.projection import Cursor

TABLES = """
CREATE TABLE observation (
    id text PRIMARY KEY, number bigint NOT NULL, owner text NOT NULL, name text NOT NULL, observation_id int,
    project text NOT NULL, target text NOT NULL, destinations text[] NOT NULL, submitted_at timestamptz NOT NULL
);
"""

INDEXES = """
CREATE INDEX observation_owner ON observation (owner, number DESC);
CREATE INDEX observation_project ON observation (project, number DESC);
CREATE INDEX observation_number ON observation (number DESC);
"""

LONGEST = 200
"""Characters of what is indexed and shown. PostgreSQL indexes no long texts, and headers may hold any."""


class ObservationsProjection:
    """See the module. `number` is the position of the submission."""

    name = "observations"
    version = 1
    tables = TABLES
    indexes = INDEXES
    topics = frozenset(event.topic for event in (ObservationSubmitted, ObservationDiscovered, DestinationsSelected))

    def apply(self, cursor: Cursor, events: Sequence[Recorded]) -> None:
        """See Projection.apply."""
        for recorded in events:
            match recorded.event:
                case ObservationSubmitted() as event:
                    cursor.execute(
                        "INSERT INTO observation AS o VALUES (%s, %s, %s, %s, %s, %s, %s, '{}', %s) ON CONFLICT (id) "
                        "DO UPDATE SET owner = excluded.owner, name = excluded.name, project = excluded.project, "
                        "observation_id = excluded.observation_id, target = excluded.target",
                        (
                            event.id,
                            recorded.position,
                            event.owner,
                            event.name,
                            event.number,
                            event.project[:LONGEST],
                            event.target[:LONGEST],
                            recorded.at,
                        ),
                    )
                case ObservationDiscovered() as event:
                    cursor.execute(
                        "INSERT INTO observation VALUES (%s, %s, '', '', NULL, %s, %s, '{}', %s) "
                        "ON CONFLICT (id) DO NOTHING",
                        (event.id, recorded.position, event.project[:LONGEST], event.target[:LONGEST], recorded.at),
                    )
                case DestinationsSelected() as event:
                    cursor.execute(
                        "UPDATE observation SET destinations = %s WHERE id = %s", (list(event.destinations), event.id)
                    )
                case _:
                    pass
