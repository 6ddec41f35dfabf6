-- Whatever is or becomes due waits here, by destination; since 0038 there are no jobs for transfers beside this table.
ALTER TABLE starferry.waiting_transfer ADD COLUMN due_at timestamptz NOT NULL DEFAULT now();
DROP INDEX starferry.waiting_transfer_order;
ALTER TABLE starferry.waiting_transfer ALTER COLUMN storage_config TYPE text COLLATE "C";  -- the order of turns
CREATE INDEX waiting_transfer_order ON starferry.waiting_transfer (storage_config, due_at, since);

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
        DELETE FROM procrastinate.procrastinate_jobs WHERE queue_name = 'transfers';
    END IF;
END
$$;
