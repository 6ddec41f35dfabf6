-- Whatever is or becomes due waits here, by destination; since 0038 there are no jobs for transfers beside this table.
ALTER TABLE starferry.waiting_transfer ADD COLUMN due_at timestamptz NOT NULL DEFAULT now();
DROP INDEX starferry.waiting_transfer_order;
ALTER TABLE starferry.waiting_transfer ALTER COLUMN storage_config TYPE text COLLATE "C";  -- the order of turns
CREATE INDEX waiting_transfer_order ON starferry.waiting_transfer (storage_config, due_at, since);

-- Destinations for which transfers are due, in the order of their ids, from the one after `turn` on and around to it. A
-- step along the index for each destination: their number counts, not that of the transfers. Plans of functions are kept,
-- and one that was made while the table was empty would read all of it when 100 000 have come: hence the settings.
CREATE FUNCTION starferry.waited_for(turn text, after text, most int) RETURNS SETOF text
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    at text COLLATE "C" := after;
    around boolean := after <= turn COLLATE "C" AND after <> turn;
    due timestamptz;
BEGIN
    LOOP
        SELECT w.storage_config, w.due_at INTO at, due FROM starferry.waiting_transfer w
        WHERE w.storage_config > at ORDER BY w.storage_config, w.due_at, w.since LIMIT 1;
        IF NOT FOUND THEN
            EXIT WHEN around;
            at := '';
            around := true;
            CONTINUE;
        END IF;
        EXIT WHEN around AND at > turn COLLATE "C";
        IF due <= now() THEN
            RETURN NEXT at;
            most := most - 1;
            EXIT WHEN most = 0;
        END IF;
    END LOOP;
END
$$;

-- The transfer that has been due longest for a destination; it doesn't wait any more. The commit doesn't wait for the disk.
CREATE FUNCTION starferry.take_waiting(destination text) RETURNS text
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    taken text;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM starferry.waiting_transfer WHERE transfer = (
        SELECT w.transfer FROM starferry.waiting_transfer w
        WHERE w.storage_config = destination AND w.due_at <= now()
        ORDER BY w.due_at, w.since LIMIT 1 FOR UPDATE SKIP LOCKED
    ) RETURNING transfer INTO taken;
    RETURN taken;
END
$$;

-- The jobs of an earlier program: a transfer's id ends with its destination's.
DO $$
BEGIN
    IF to_regclass('procrastinate.procrastinate_jobs') IS NOT NULL THEN
        INSERT INTO starferry.waiting_transfer (transfer, storage_config, due_at)
        SELECT args ->> 'transfer', substring(args ->> 'transfer' FROM '^[^-]*-(.*)$'),
               min(coalesce(scheduled_at, now()))
        FROM procrastinate.procrastinate_jobs
        WHERE queue_name = 'transfers' AND args ->> 'transfer' LIKE '%-%'
        GROUP BY 1, 2
        ON CONFLICT DO NOTHING;
        PERFORM set_config('search_path', 'procrastinate', true);  -- its triggers need it
        DELETE FROM procrastinate.procrastinate_jobs WHERE queue_name = 'transfers';
    END IF;
END
$$;
