-- What the log was when it was sealed (docs/adr/0033): each row covers the events of (since, upto] and, by its digest, all
-- rows before it. Written off the append path; never changed.
CREATE TABLE starferry.seal (
    since     bigint      NOT NULL UNIQUE CHECK (since >= 0),
    upto      bigint      PRIMARY KEY,
    count     bigint      NOT NULL CHECK (count > 0),
    digest    bytea       NOT NULL CHECK (octet_length(digest) = 32),
    sealed_at timestamptz NOT NULL DEFAULT now(),
    CHECK (upto > since)
);
