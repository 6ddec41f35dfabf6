"""The tables of the frames read model.

`version_set` holds the versions newest first, as JSON objects joined by commas: a page of frames is one index walk and
one row a frame. `headers_at` is the position of the event that holds the newest header: headers are read from the log,
not stored twice, but for `submitter`, their USERID. `cells` are sky keys (application/ports/sky.py); `grams` are hashed
trigrams for substring search. `waiting` holds related names whose frame hasn't arrived. `sha256` and `size` are null
when another program stored the file.

`since` is the position of the event that gave a row what it holds (of a link: that named it). What a row held before,
and rows that are gone, stand in the tables of `past.py`, with the position `until` which they held it.

What is new in a GIN index waits in a list that each search reads from end to end: with the usual 4 MB a search of the
sky took thirty times as long, so it is kept to 128 kB.
"""

from projections.frames.past import PAST_INDEXES, PAST_TABLES

TABLES = f"""
CREATE TABLE frame (
    id int PRIMARY KEY,
    observation_id int, request_id int,
    observation_date timestamptz, public_date timestamptz, created timestamptz NOT NULL,
    exposure_time float8, headers_at bigint NOT NULL, since bigint NOT NULL,
    observation_day date, reduction_level smallint NOT NULL,
    basename text NOT NULL, proposal_id text NOT NULL, instrument_id text NOT NULL, target_name text NOT NULL,
    site_id text NOT NULL, telescope_id text NOT NULL, primary_optical_element text NOT NULL,
    configuration_type text NOT NULL, observation text, target_folded text NOT NULL, submitter text NOT NULL,
    version_set text NOT NULL, area text, cells int[], grams smallint[] NOT NULL
) WITH (fillfactor = 90);
CREATE UNIQUE INDEX frame_basename ON frame (basename);
CREATE TABLE version (
    id int PRIMARY KEY, frame_id int NOT NULL, size bigint, since bigint NOT NULL, created timestamptz NOT NULL,
    key text NOT NULL, md5 text NOT NULL, extension text NOT NULL, path text NOT NULL, deleted boolean NOT NULL,
    sha256 bytea
);
CREATE INDEX version_frame ON version (frame_id);
CREATE TABLE thumbnail (
    id int PRIMARY KEY, frame_id int NOT NULL, since bigint NOT NULL, basename text NOT NULL, extension text NOT NULL,
    size text NOT NULL, key text NOT NULL, path text NOT NULL
);
CREATE INDEX thumbnail_frame ON thumbnail (frame_id);
CREATE TABLE link (frame_id int, other_id int, since bigint NOT NULL, PRIMARY KEY (frame_id, other_id));
CREATE TABLE waiting (basename text, frame_id int, since bigint NOT NULL, PRIMARY KEY (basename, frame_id));
CREATE INDEX waiting_frame ON waiting (frame_id);
{PAST_TABLES}
"""

INDEXES = f"""
CREATE INDEX frame_newest ON frame (observation_date DESC, id DESC);
CREATE INDEX frame_day ON frame (observation_day, id);
CREATE INDEX frame_site ON frame (site_id, instrument_id, observation_date DESC, id DESC);
CREATE INDEX frame_instrument ON frame (instrument_id, observation_date DESC, id DESC);
CREATE INDEX frame_proposal ON frame (proposal_id, observation_date DESC, id DESC);
CREATE INDEX frame_target ON frame (target_name, observation_date DESC, id DESC);
CREATE INDEX frame_submitter ON frame (submitter, observation_date DESC, id DESC) WHERE submitter <> '';
CREATE INDEX frame_observation ON frame (observation_id) WHERE observation_id IS NOT NULL;
CREATE INDEX frame_observation_code ON frame (observation) WHERE observation IS NOT NULL;
CREATE INDEX frame_request ON frame (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX frame_cells ON frame USING gin (cells) WITH (gin_pending_list_limit = 128);
CREATE INDEX frame_grams ON frame USING gin (grams) WITH (gin_pending_list_limit = 128);
CREATE INDEX version_md5 ON version (md5);
CREATE INDEX thumbnail_basename ON thumbnail (basename);
{PAST_INDEXES}
"""
