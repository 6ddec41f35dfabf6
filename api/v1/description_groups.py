"""Organizations and projects described."""

from __future__ import annotations

from api.openapi import Answer, Body, Operation, named, ref
from api.v1.description_parts import POSITION, listed, problem


def groups(kind: str) -> list[Operation]:
    """Operations on groups of this kind."""
    path = f"/api/v1/{kind}s"
    one, member = named("group"), named("group", "username")
    card = Answer(f"The {kind} with its members.", ref("Group"))
    conflict = {409: problem("The state has moved on, or a rule forbids it now.")}
    return [
        listed(path, "groups", "Group", f"The asker's {kind}s."),
        Operation(
            method="post",
            path=path,
            tag="groups",
            summary=f"Found {'an' if kind == 'organization' else 'a'} {kind}; whoever does owns it.",
            body=Body(ref("GroupBody"), example={"name": "Survey"}),
            answers={201: card, 404: problem("There is no such organization."), **conflict},
            who="known",
        ),
        Operation(
            method="get",
            path=path + "/{group}",
            tag="groups",
            summary=f"One {kind}.",
            parameters=[*one, POSITION],
            answers={200: card},
            who="known",
        ),
        Operation(
            method="patch",
            path=path + "/{group}",
            tag="groups",
            summary="Another name.",
            parameters=one,
            body=Body(ref("NameBody")),
            answers={200: card, **conflict},
            who="known",
        ),
        Operation(
            method="delete",
            path=path + "/{group}",
            tag="groups",
            summary=f"End the {kind}.",
            parameters=one,
            answers={204: Answer("It is gone."), **conflict},
            who="known",
        ),
        Operation(
            method="put",
            path=path + "/{group}/members/{username}",
            tag="groups",
            summary="Add a member, or change their permissions.",
            parameters=member,
            body=Body(ref("MemberBody")),
            answers={200: card, **conflict},
            who="known",
        ),
        Operation(
            method="delete",
            path=path + "/{group}/members/{username}",
            tag="groups",
            summary="Remove a member.",
            parameters=member,
            answers={204: Answer("They are no member any more."), **conflict},
            who="known",
        ),
        Operation(
            method="post",
            path=path + "/{group}/transfer-ownership",
            tag="groups",
            summary="Hand it over to another member.",
            parameters=one,
            body=Body(ref("OwnerBody")),
            answers={200: card, **conflict},
            who="known",
        ),
    ]
