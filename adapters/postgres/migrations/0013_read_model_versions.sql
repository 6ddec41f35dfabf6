-- additive: programs that don't know this go on as before
-- Which version of each read model is live; those of earlier programs are the first (ADR 0035).
ALTER TABLE starferry.projection ADD COLUMN version int NOT NULL DEFAULT 1;

-- A read model that is being built beside the live one, in the schema build_<name>. The position moves with every batch.
CREATE TABLE starferry.projection_build (
    name       text        PRIMARY KEY,
    version    int         NOT NULL,
    position   bigint      NOT NULL DEFAULT 0,
    target     bigint      NOT NULL DEFAULT 0,
    stage      text        NOT NULL DEFAULT 'loading' CHECK (stage IN ('loading', 'indexed', 'staged', 'different')),
    rate       float8      NOT NULL DEFAULT 0,
    comparison jsonb,
    started_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- What was live before the last swap, in the schema old_<name>, and how far it has come.
CREATE TABLE starferry.projection_kept (
    name     text        PRIMARY KEY,
    version  int         NOT NULL,
    position bigint      NOT NULL,
    kept_at  timestamptz NOT NULL DEFAULT now()
);
