-- Transfers that are due and wait for a place at their destination, the longest first.
CREATE TABLE starferry.waiting_transfer (
    transfer       text   PRIMARY KEY,
    storage_config text   NOT NULL,
    since          bigint NOT NULL GENERATED ALWAYS AS IDENTITY
);
CREATE INDEX waiting_transfer_order ON starferry.waiting_transfer (storage_config, since);

-- When the line to a destination of limited bandwidth is free again.
CREATE TABLE starferry.destination_pace (
    storage_config text        PRIMARY KEY,
    free_at        timestamptz NOT NULL
);

-- The transfers read model has other columns now: it fills again from the log's beginning.
DROP SCHEMA IF EXISTS read_transfers CASCADE;
DELETE FROM starferry.projection WHERE name = 'transfers';
