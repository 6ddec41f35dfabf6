-- How far each read model has come, and what its live schema was built by.
CREATE TABLE starferry.projection (
    name     text   PRIMARY KEY,
    position bigint NOT NULL,
    failure  text   NOT NULL DEFAULT ''
);

-- Events that a policy could not handle, for an operator to look at.
CREATE TABLE starferry.dead_letter (
    consumer text NOT NULL,
    position bigint NOT NULL,
    stream   text NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, position)
);

-- Password hashes live outside the log, so that they can be forgotten.
CREATE TABLE starferry.password (
    username text PRIMARY KEY,
    hash     text NOT NULL
);
