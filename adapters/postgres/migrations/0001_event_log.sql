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

-- Appends n commits in one round trip. Each commit stands alone: cmd numbers them from 0, each array is sorted by it,
-- and one that is refused doesn't stop the others. The outcome is that of trying them one after the other.
-- outcomes is NULL when all went in; else one text a commit: the position of its last event (of the log's last event
-- when it has none), 'stream:<id>' for a stream that isn't at the expected version, or the taken claims as a JSON array.
-- All writers hold the advisory lock until their commit is durable, so positions appear in order, without gaps
-- that a reader could pass. (A lock on the table would also work but would keep autovacuum out.)
CREATE FUNCTION starferry.append(
    n int, cmds int[], ids text[], versions bigint[], topics text[], states bytea[],
    claim_cmds int[], claims text[], release_cmds int[], releases text[],
    guard_cmds int[], guard_ids text[], guard_versions bigint[],
    OUT last_position bigint, OUT outcomes text[]
) LANGUAGE plpgsql AS $$
DECLARE
    -- in a batch, a release may free what another commit claims
    in_turn boolean := n > 1 AND cardinality(releases) > 0;
    e int := 1;
    c int := 1;
    r int := 1;
    g int := 1;
    latest bigint;
    taken text[];
    refusal text;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE feature_not_supported USING MESSAGE = 'the event log is appended to under read committed only',
            DETAIL = 'A snapshot from before the lock would hide what the last writer stored.';
    END IF;
    PERFORM pg_advisory_xact_lock(7236837104);
    IF NOT in_turn AND cardinality(guard_ids) > 0 THEN
        -- a stale guard; or one commit of the batch writes what another guards
        in_turn := EXISTS (SELECT 1 FROM unnest(guard_ids, guard_versions) AS x(id, version)
                            WHERE x.version <> coalesce((SELECT max(v.originator_version)
                                  FROM starferry.starferry_events v WHERE v.originator_id = x.id), 0))
                OR (n > 1 AND EXISTS (SELECT 1 FROM unnest(guard_cmds, guard_ids) AS x(cmd, id)
                                        JOIN unnest(cmds, ids) AS w(cmd, id) ON w.id = x.id AND w.cmd <> x.cmd));
    END IF;

    IF NOT in_turn THEN
        BEGIN
            IF cardinality(releases) > 0 THEN
                DELETE FROM starferry.claim WHERE name = ANY (releases);
            END IF;
            INSERT INTO starferry.claim SELECT unnest(claims);
            IF cardinality(ids) > 0 THEN
                INSERT INTO starferry.starferry_events (originator_id, originator_version, topic, state)
                     SELECT * FROM unnest(ids, versions, topics, states);
                -- not before the insert: until then this session may have no current value, or that of another append
                last_position := currval('starferry.starferry_events_notification_id_seq');
                PERFORM pg_notify('starferry_events', '');
            ELSE
                SELECT coalesce(max(notification_id), 0) INTO last_position FROM starferry.starferry_events;
            END IF;
            RETURN;
        EXCEPTION WHEN unique_violation THEN
            NULL;  -- somebody was first: sort out below who may still go in
        END;
    END IF;

    SELECT coalesce(max(notification_id), 0) INTO last_position FROM starferry.starferry_events;
    outcomes := array_fill(''::text, ARRAY[n]);
    FOR i IN 0 .. n - 1 LOOP
        latest := last_position;
        taken := '{}';
        BEGIN
            WHILE guard_cmds[g] = i LOOP
                refusal := 'stream:' || guard_ids[g];
                IF guard_versions[g] <> coalesce((SELECT max(originator_version) FROM starferry.starferry_events
                                                   WHERE originator_id = guard_ids[g]), 0) THEN
                    RAISE unique_violation;
                END IF;
                g := g + 1;
            END LOOP;
            WHILE release_cmds[r] = i LOOP
                DELETE FROM starferry.claim WHERE name = releases[r];
                r := r + 1;
            END LOOP;
            WHILE claim_cmds[c] = i LOOP
                INSERT INTO starferry.claim VALUES (claims[c]) ON CONFLICT DO NOTHING;
                IF NOT FOUND THEN
                    taken := taken || claims[c];
                END IF;
                c := c + 1;
            END LOOP;
            IF cardinality(taken) > 0 THEN
                refusal := array_to_json(taken)::text;
                RAISE unique_violation;
            END IF;
            WHILE cmds[e] = i LOOP
                refusal := 'stream:' || ids[e];
                INSERT INTO starferry.starferry_events (originator_id, originator_version, topic, state)
                     VALUES (ids[e], versions[e], topics[e], states[e]) RETURNING notification_id INTO latest;
                e := e + 1;
            END LOOP;
            last_position := latest;
            outcomes[i + 1] := latest::text;
        EXCEPTION WHEN unique_violation THEN
            outcomes[i + 1] := refusal;
            -- on to what belongs to the next commit
            WHILE guard_cmds[g] <= i LOOP g := g + 1; END LOOP;
            WHILE release_cmds[r] <= i LOOP r := r + 1; END LOOP;
            WHILE claim_cmds[c] <= i LOOP c := c + 1; END LOOP;
            WHILE cmds[e] <= i LOOP e := e + 1; END LOOP;
        END;
    END LOOP;
    PERFORM pg_notify('starferry_events', '');
END $$;
