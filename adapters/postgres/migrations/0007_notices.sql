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

-- Failures that gather for the next mail to somebody about a destination, and when that is due, if at all. What stands up
-- to told_upto has been told.
CREATE TABLE starferry.mail_complaint (
    username       text        NOT NULL,
    storage_config text        NOT NULL,
    position       bigint      NOT NULL,
    transfer       text        NOT NULL,
    frame          text        NOT NULL,
    reason         text        NOT NULL,
    at             timestamptz NOT NULL,
    PRIMARY KEY (username, position)
);
CREATE INDEX mail_complaint_config ON starferry.mail_complaint (username, storage_config, position);
CREATE TABLE starferry.mail_digest (
    username       text   NOT NULL,
    storage_config text   NOT NULL,
    due_at         timestamptz,
    sent_at        timestamptz,
    told_upto      bigint NOT NULL DEFAULT 0,
    attempts       int    NOT NULL DEFAULT 0,
    failure        text   NOT NULL DEFAULT '',
    PRIMARY KEY (username, storage_config)
);
CREATE INDEX mail_digest_due ON starferry.mail_digest (due_at) WHERE due_at IS NOT NULL;
