-- What is to be told to webhooks, and what became of it; dropped some weeks after. The id follows from webhook and event.
CREATE TABLE starferry.webhook_delivery (
    id          text        PRIMARY KEY,
    number      bigint      GENERATED ALWAYS AS IDENTITY,
    webhook     text        NOT NULL,
    position    bigint      NOT NULL,
    event       text        NOT NULL,
    body        bytea       NOT NULL,
    status      text        NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'delivered', 'failed')),
    attempts    int         NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL,
    due_at      timestamptz NOT NULL,
    done_at     timestamptz,
    http_status int,
    reason      text        NOT NULL DEFAULT ''
);
CREATE INDEX webhook_delivery_webhook ON starferry.webhook_delivery (webhook, number DESC);
CREATE INDEX webhook_delivery_due ON starferry.webhook_delivery (due_at) WHERE status = 'waiting';
CREATE INDEX webhook_delivery_done ON starferry.webhook_delivery (done_at) WHERE done_at IS NOT NULL;
