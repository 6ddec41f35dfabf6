"""Webhooks and mail described."""

from __future__ import annotations

from api.openapi import MOMENT, TEXT, TRUTH, Answer, Body, Operation, named, nullable, record, ref
from api.v1.description_parts import PAGING, POSITION, listed, problem


def webhooks() -> list[Operation]:
    """Addresses that are told what happens."""
    path, one = "/api/v1/webhooks", named("webhook")
    card = ref("Webhook")
    return [
        listed(path, "notices", "Webhook", "The asker's webhooks; a superuser's are everybody's."),
        Operation(
            method="post",
            path=path,
            tag="notices",
            summary="A new webhook. The key that signs is shown this once.",
            body=Body(ref("WebhookForm"), example={"url": "https://hooks.example.org/starferry"}),
            answers={
                201: Answer("The webhook and its key.", {"allOf": [card, record({"secret": TEXT})]}),
                404: problem("There is no such storage configuration."),
            },
            who="known",
        ),
        Operation(
            method="get",
            path=path + "/{webhook}",
            tag="notices",
            summary="One webhook, with its deliveries counted by status.",
            parameters=[*one, POSITION],
            answers={200: Answer("The webhook, without its address and key.", card)},
            who="known",
        ),
        Operation(
            method="delete",
            path=path + "/{webhook}",
            tag="notices",
            summary="Delete a webhook and destroy its key; what waits to be sent there is given up.",
            parameters=one,
            answers={204: Answer("It is gone.")},
            who="known",
        ),
        Operation(
            method="post",
            path=path + "/{webhook}/test",
            tag="notices",
            summary="Send a message without news, now and once.",
            parameters=one,
            answers={
                200: Answer(
                    "What came of it.",
                    record({"ok": {"type": "boolean"}, "status": nullable({"type": "integer"}), "reason": TEXT}),
                )
            },
            who="known",
        ),
        Operation(
            method="get",
            path=path + "/{webhook}/deliveries",
            tag="notices",
            summary="What was sent in the last 30 days, what waits, and what was given up.",
            parameters=[*one, *PAGING, POSITION],
            answers={
                200: Answer(
                    "A page, newest first.",
                    record({"results": {"type": "array", "items": ref("Delivery")}, "next_cursor": nullable(TEXT)}),
                )
            },
            who="known",
        ),
    ]


def mail() -> list[Operation]:
    """Mail about what failed."""
    path = "/api/v1/mail-notices"
    choice = Answer(
        "The choice; whether there is a mail server; when mail was sent last, and why it couldn't be.",
        record(
            {
                "enabled": TRUTH,
                "address": nullable(TEXT),
                "available": TRUTH,
                "last_sent_at": nullable(MOMENT),
                "failure": nullable(TEXT),
            }
        ),
    )
    return [
        Operation(
            method="get",
            path=path,
            tag="notices",
            summary="Whether and where the asker wants mail about failures.",
            answers={200: choice},
            who="known",
        ),
        Operation(
            method="put",
            path=path,
            tag="notices",
            summary="Want mail about failures, or none; an empty address keeps the one there is.",
            body=Body(ref("MailForm"), example={"enabled": True, "address": "ada@example.org"}),
            answers={200: choice, 409: problem("The operator has set no mail server.")},
            who="known",
        ),
        Operation(
            method="delete",
            path=path,
            tag="notices",
            summary="Want no mail, and have the address forgotten.",
            answers={204: Answer("It is forgotten.")},
            who="known",
        ),
    ]
