-- Browser sessions: the id is known by its hash alone.
CREATE TABLE starferry.session (
    hash       text        PRIMARY KEY,
    username   text        NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX session_username_idx ON starferry.session (username);
CREATE INDEX session_expires_at_idx ON starferry.session (expires_at);

-- When the portal is to be asked for a user's proposals again, and until when some process is doing so.
CREATE TABLE starferry.portal_question (
    username     text        PRIMARY KEY,
    due_at       timestamptz NOT NULL,
    asking_until timestamptz NOT NULL
);

-- Requests of each user and address in the window that began then. Losing them does no harm.
CREATE UNLOGGED TABLE starferry.throttle (
    who        text        PRIMARY KEY,
    since      timestamptz NOT NULL,
    until      timestamptz NOT NULL,
    requests   bigint      NOT NULL
);
