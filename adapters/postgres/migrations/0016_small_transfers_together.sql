-- additive: whoever takes one at a time may go on doing so.
-- Bytes of the file, where that is known: small ones are taken several at a time (docs/adr/0047).
ALTER TABLE starferry.waiting_transfer ADD COLUMN size bigint;

-- The transfers that have been due longest for a destination; they don't wait any more. One, or up to `most` with
-- `most_bytes` in all: no more than an even share for as many `sharers`, so that none of these takes what others would
-- carry at the same time. The commit doesn't wait for the disk.
CREATE FUNCTION starferry.take_together(destination text, most int, most_bytes bigint, sharers int) RETURNS SETOF text
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    due int;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT count(*) INTO due FROM (
        SELECT FROM starferry.waiting_transfer w
        WHERE w.storage_config = destination AND w.due_at <= now() LIMIT most * sharers
    ) few;
    RETURN QUERY
    WITH ahead AS (
        SELECT w.transfer, w.size, w.due_at, w.since FROM starferry.waiting_transfer w
        WHERE w.storage_config = destination AND w.due_at <= now()
        ORDER BY w.due_at, w.since LIMIT greatest(1, least(most, (due + sharers - 1) / sharers)) FOR UPDATE SKIP LOCKED
    ), placed AS (
        SELECT a.transfer, row_number() OVER in_turn AS place,
               sum(coalesce(a.size, most_bytes + 1)) OVER in_turn <= most_bytes AS fits
        FROM ahead a WINDOW in_turn AS (ORDER BY a.due_at, a.since, a.transfer)
    ), taken AS (
        DELETE FROM starferry.waiting_transfer w USING placed p
        WHERE w.transfer = p.transfer AND (p.place = 1 OR p.fits) RETURNING w.transfer, p.place
    )
    SELECT t.transfer FROM taken t ORDER BY t.place;
END
$$;
