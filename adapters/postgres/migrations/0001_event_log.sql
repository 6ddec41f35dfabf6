-- The one log, its claims and its consumers' checkpoints (docs/adr/0002).
CREATE TABLE starferry.starferry_events (
    originator_id      text   NOT NULL,
    originator_version bigint NOT NULL,
    topic              text   NOT NULL,
    state              bytea  NOT NULL,
    notification_id    bigserial,
    PRIMARY KEY (originator_id, originator_version)
);
-- state is compressed before it gets here: another try by the server would only cost time
ALTER TABLE starferry.starferry_events ALTER COLUMN state SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX starferry_events_notification_id_idx ON starferry.starferry_events (notification_id);

-- names that may be taken once over all streams: md5:…, key:…, path:…
CREATE TABLE starferry.claim (name text PRIMARY KEY);

CREATE TABLE starferry.consumer (
    name     text   PRIMARY KEY,
    position bigint NOT NULL
);

-- ids of frames and versions are handed out in blocks, so that an append needs no round trip for them
CREATE SEQUENCE starferry.id_block;

-- Appends n commits in one round trip. Each commit stands alone: cmd numbers them from 0, and one that
-- conflicts doesn't stop the others. Returns NULL when all went in, else one text a commit: '' stored,
-- 'stream:<id>' a version that isn't the expected one, otherwise the taken claims joined by newlines.
-- All writers hold the advisory lock until their commit is durable, so positions appear in order, without gaps
-- that a reader could pass. (A lock on the table would also work but would keep autovacuum out.)
CREATE FUNCTION starferry.append(
    n int, cmds int[], ids text[], versions bigint[], topics text[], states bytea[],
    claim_cmds int[], claims text[], release_cmds int[], releases text[],
    guard_cmds int[], guard_ids text[], guard_versions bigint[],
    OUT last_position bigint, OUT outcomes text[]
) LANGUAGE plpgsql AS $$
DECLARE
    stale boolean := false;
BEGIN
    PERFORM pg_advisory_xact_lock(7236837104);
    IF cardinality(guard_ids) > 0 THEN
        SELECT EXISTS (SELECT 1 FROM unnest(guard_ids, guard_versions) AS g(id, version)
                        WHERE g.version <> coalesce((SELECT max(e.originator_version) FROM starferry.starferry_events e
                                                      WHERE e.originator_id = g.id), 0)) INTO stale;
    END IF;
    IF NOT stale THEN
        BEGIN
            IF cardinality(releases) > 0 THEN
                DELETE FROM starferry.claim WHERE name = ANY (releases);
            END IF;
            INSERT INTO starferry.claim SELECT unnest(claims);
            INSERT INTO starferry.starferry_events (originator_id, originator_version, topic, state)
                 SELECT * FROM unnest(ids, versions, topics, states);
            last_position := currval('starferry.starferry_events_notification_id_seq');
            PERFORM pg_notify('starferry_events', '');
            RETURN;
        EXCEPTION WHEN unique_violation THEN
            NULL;  -- somebody was first: sort out below who may still go in
        END;
    END IF;

    outcomes := array_fill(''::text, ARRAY[n]);
    FOR i IN 0 .. n - 1 LOOP
        outcomes[i + 1] := coalesce(
            (SELECT 'stream:' || g.id FROM unnest(guard_cmds, guard_ids, guard_versions) AS g(cmd, id, version)
              WHERE g.cmd = i AND g.version <> coalesce((SELECT max(e.originator_version)
                    FROM starferry.starferry_events e WHERE e.originator_id = g.id), 0) LIMIT 1),
            (SELECT string_agg(c.name, E'\n') FROM unnest(claim_cmds, claims) AS c(cmd, name)
              WHERE c.cmd = i AND EXISTS (SELECT 1 FROM starferry.claim t WHERE t.name = c.name)),
            (SELECT 'stream:' || w.id FROM unnest(cmds, ids, versions) AS w(cmd, id, version)
              WHERE w.cmd = i AND EXISTS (SELECT 1 FROM starferry.starferry_events e
                    WHERE e.originator_id = w.id AND e.originator_version = w.version) LIMIT 1),
            '');
        IF outcomes[i + 1] = '' THEN
            DELETE FROM starferry.claim USING unnest(release_cmds, releases) AS r(cmd, released)
             WHERE r.cmd = i AND name = r.released;
            INSERT INTO starferry.claim
                 SELECT c.name FROM unnest(claim_cmds, claims) AS c(cmd, name) WHERE c.cmd = i;
            INSERT INTO starferry.starferry_events (originator_id, originator_version, topic, state)
                 SELECT w.id, w.version, w.topic, w.state
                   FROM unnest(cmds, ids, versions, topics, states) AS w(cmd, id, version, topic, state)
                  WHERE w.cmd = i;
        END IF;
    END LOOP;
    SELECT max(notification_id) INTO last_position FROM starferry.starferry_events;
    PERFORM pg_notify('starferry_events', '');
END $$;
