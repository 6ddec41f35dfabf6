-- The read models that operators have had built as of a position, in schemas replay_<name>_<model>.
CREATE TABLE starferry.replay (
    name     text        NOT NULL,
    model    text        NOT NULL,
    upto     bigint      NOT NULL,
    position bigint      NOT NULL DEFAULT 0,
    done     boolean     NOT NULL DEFAULT false,
    begun    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, model)
);
