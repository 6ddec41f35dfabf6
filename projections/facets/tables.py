"""The tables of the facets read model.

A facet stands for all frames of one UTC day that share site, telescope, instrument, optical element, configuration
type and proposal: `frames` counts them; `observed_from` and `observed_to`, `public_from` and `public_to` are the
earliest and the latest of their times, where a frame that never becomes public counts as public at infinity. So at any
`now` it has a public frame if `public_from <= now`, and one that isn't public yet if `public_to > now`. One that has
lost all its frames stays, with nothing between its bounds. `changed` is the position of the last event that moved a
frame in or out: who remembers a position asks for what is newer.

`member` says which facet a frame with a version is in (none without an observation date); `term` numbers the texts.
All numbers are given in the order of the events.
"""

DIMENSIONS = (
    "site_id",
    "telescope_id",
    "primary_optical_element",
    "instrument_id",
    "configuration_type",
    "proposal_id",
)
"""What a facet's frames share besides the day, by the names of a frame's record."""

TABLES = f"""
CREATE TABLE term (id int PRIMARY KEY, text text NOT NULL UNIQUE);
CREATE TABLE facet (
    id int PRIMARY KEY, day date NOT NULL,
    {", ".join(f"{name} int NOT NULL" for name in DIMENSIONS)},
    frames int NOT NULL, changed bigint NOT NULL,
    observed_from timestamptz NOT NULL, observed_to timestamptz NOT NULL,
    public_from timestamptz NOT NULL, public_to timestamptz NOT NULL,
    UNIQUE (day, {", ".join(DIMENSIONS)})
) WITH (fillfactor = 80);
CREATE TABLE member (frame_id int PRIMARY KEY, facet int, observation_date timestamptz, public_date timestamptz);
CREATE INDEX member_facet ON member (facet);
"""

INDEXES = """
CREATE INDEX facet_changed ON facet (changed);
"""
