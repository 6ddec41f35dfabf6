"""Who one is and how one comes in, described (contracts: 1.3)."""

from __future__ import annotations

from api.ocs.description_search import FORMAT
from api.openapi import BODY_TYPES, TEXT, TRUTH, Answer, Body, Operation, Parameter, Schema, array, record, ref

HTML = "text/html"


def people_operations() -> list[Operation]:
    """Who one is and how one comes in."""
    page = Answer("A page for people.", TEXT, HTML)
    return [
        Operation(
            method="get",
            path="/profile/",
            tag="people",
            summary="Who am I?",
            parameters=[FORMAT],
            answers={200: Answer("The asker.", ref("Profile"))},
        ),
        Operation(
            method="post",
            path="/api-token-auth/",
            tag="people",
            summary="A token for a user name and a password.",
            description="Whoever comes with a token gets that one back; the body isn't looked at then.",
            body=Body(record({"username": TEXT, "password": TEXT}), BODY_TYPES, required=False),
            answers={200: Answer("The token.", record({"token": TEXT}))},
        ),
        Operation(
            method="post",
            path="/revoke_token/",
            tag="people",
            summary="End the asker's token of this archive and make another.",
            answers={200: Answer("It is done.", ref("Message"))},
            who="known",
        ),
        Operation(
            method="post",
            path="/authprofile/addupdateuser/",
            tag="people",
            summary="The portal tells of a user. What is left out falls to empty or false.",
            body=Body(ref("PortalUser"), BODY_TYPES),
            answers={200: Answer("It is done.", ref("Message")), 403: Answer("A wrong server key.", ref("Error"))},
            who="portal",
        ),
        Operation(
            method="get",
            path="/api-auth/login/",
            tag="people",
            summary="The form to log in by.",
            parameters=[Parameter("next", TEXT, "The page of this archive to go on to.")],
            answers={200: page, 302: Answer("Logged in already.")},
        ),
        Operation(
            method="post",
            path="/api-auth/login/",
            tag="people",
            summary="Log in: a session cookie.",
            body=Body(record({"username": TEXT, "password": TEXT, "next": TEXT}, "next"), BODY_TYPES[1:]),
            answers={200: page, 302: Answer("Logged in."), 403: Answer("The form's token is missing.", ref("Error"))},
        ),
        Operation(
            method="get",
            path="/api-auth/logout/",
            tag="people",
            summary="The form to log out by.",
            answers={200: page, 302: Answer("Logged out.")},
        ),
        Operation(
            method="post",
            path="/api-auth/logout/",
            tag="people",
            summary="End the session.",
            answers={200: page, 302: Answer("Logged out."), 403: Answer("The form's token is missing.", ref("Error"))},
        ),
    ]


PEOPLE_SCHEMAS: dict[str, Schema] = {
    "Profile": record(
        {
            "username": TEXT,
            "profile": record({"proposals": array(TEXT)}, "proposals"),
            "is_staff": TRUTH,
        }
    ),
    "Message": record({"message": TEXT}),
    "PortalUser": record(
        {
            "username": TEXT,
            "first_name": TEXT,
            "last_name": TEXT,
            "email": TEXT,
            "tokens": record({"api_token": TEXT}, "api_token"),
            "is_staff": TRUTH,
            "is_superuser": TRUTH,
            "profile": record({"staff_view": TRUTH}, "staff_view"),
        },
        *"first_name last_name email tokens is_staff is_superuser profile".split(),
    ),
}
