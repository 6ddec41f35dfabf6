-- additive
-- starferry.append as before (0001_event_log.sql), but for one question: whether one commit of a batch writes what another
-- guards. Asked by a join, which the planner made of two loops as it can't know how many there are, it took 15 s of the
-- lock that all writers wait for when a policy wrote to 20 000 transfers at once; gathered by stream it takes 0.1 s.
CREATE OR REPLACE FUNCTION starferry.append(
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
                OR (n > 1 AND EXISTS (SELECT 1 FROM (SELECT cmd, id, true AS guarded FROM unnest(guard_cmds, guard_ids) AS x(cmd, id)
                                                     UNION ALL
                                                     SELECT cmd, id, false FROM unnest(cmds, ids) AS w(cmd, id)) AS uses
                                       GROUP BY id
                                      HAVING min(cmd) < max(cmd) AND bool_or(guarded) AND NOT bool_and(guarded)));
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
