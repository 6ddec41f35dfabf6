"""`/api/v1/openapi.json`: our own API as an OpenAPI document."""

from __future__ import annotations

from litestar import Response, get

from api.openapi import (
    BODY_TYPES,
    MOMENT,
    TEXT,
    TRUTH,
    WHOLE,
    Answer,
    Body,
    Operation,
    Parameter,
    Schema,
    Surface,
    array,
    document,
    named,
    nullable,
    record,
    ref,
    struct_schemas,
)
from api.serving import AnyRequest, base_url, serving_of
from api.v1.answers import json_answer
from api.v1.groups import GroupBody, MemberBody, NameBody, OwnerBody
from api.v1.ingest import CalibrationReport
from api.v1.observations import DestinationsBody, ObservationBody
from api.v1.storage_configs import ConfigBody, ConfigPatch
from api.v1.transfers import FILTERS, STATUSES
from application.history import KINDS, Entry

_TAGS = {
    "ingest": "Files in.",
    "observations": "What owners asked for, and where its files go.",
    "storage": "Places that copies can go to.",
    "groups": "Organizations and projects: members with permissions, to whom destinations can belong.",
    "transfers": "One version on its way to one destination.",
    "history": "What happened, from the events.",
    "service": "The service itself.",
}
_ABOUT = (
    "Ids are strings, times ISO 8601 in UTC. Errors are problem details (RFC 9457). Lists come newest first. "
    "The archive's interface at the root is described at `/openapi/`."
)
_PAGING = (
    Parameter("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}, "Rows of a page."),
    Parameter("cursor", TEXT, "`next_cursor` of the page before."),
)
_POSITION = Parameter(
    "starferry-position", WHOLE, "Wait until the read models have this position of a write's answer.", "header"
)


def operations() -> list[Operation]:
    """Every method of every path below `/api/v1`."""
    return [
        *_ingest(),
        *_observations(),
        *_storage(),
        *_groups("organization"),
        *_groups("project"),
        *_transfers(),
        *_history(),
    ]


def _ingest() -> list[Operation]:
    return [
        Operation(
            method="post",
            path="/api/v1/ingest",
            tag="ingest",
            summary="Check a file, keep it, record it.",
            body=Body(ref("IngestForm"), BODY_TYPES[2:]),
            answers={
                201: Answer("The frame, as `/frames/` shows it.", record({"frame": {"type": "object"}})),
                404: _problem("There is no frame that `calibrated_from` names."),
                409: _problem("These bytes are in the archive already."),
                422: _problem("These bytes can't be archived; the detail says why."),
            },
            who="superuser",
        ),
        Operation(
            method="post",
            path="/api/v1/frames/{basename}/calibration",
            tag="ingest",
            summary="No calibrated file will come for this raw frame.",
            parameters=named("basename"),
            body=Body(ref("CalibrationReport"), example={"outcome": "no_masters", "reason": "no bias of that night"}),
            answers={
                200: Answer("What was noted.", record({"frame": TEXT, "outcome": TEXT})),
                409: _problem("There is a calibrated file already."),
            },
            who="superuser",
        ),
    ]


def _observations() -> list[Operation]:
    one = named("observation")
    return [
        _list("/api/v1/observations", "observations", "Observation", "The asker's observations."),
        Operation(
            method="post",
            path="/api/v1/observations",
            tag="observations",
            summary="Submit an observation with its destinations.",
            body=Body(ref("ObservationBody"), example={"name": "M31 in V", "observation_id": 799390500}),
            answers={
                201: Answer("The observation.", ref("Submitted")),
                404: _problem("A destination isn't there, or isn't the asker's."),
                409: _problem("The number was submitted before."),
            },
            who="known",
        ),
        Operation(
            method="get",
            path="/api/v1/observations/{observation}",
            tag="observations",
            summary="One observation with the transfers of its files.",
            parameters=[*one, *_PAGING, _POSITION],
            answers={200: Answer("The observation.", ref("ObservationWithTransfers"))},
            who="known",
        ),
        Operation(
            method="patch",
            path="/api/v1/observations/{observation}",
            tag="observations",
            summary="Select other destinations; files that arrived before are delivered there too.",
            parameters=one,
            body=Body(ref("DestinationsBody"), example={"destinations": []}),
            answers={
                200: Answer("What is selected now.", record({"id": TEXT, "destinations": array(TEXT)})),
                409: _problem("A destination can't be selected."),
            },
            who="known",
        ),
    ]


def _storage() -> list[Operation]:
    one = named("config_id")
    card = Answer("The configuration, without its secrets.", ref("StorageConfig"))
    path = "/api/v1/storage-configs"
    return [
        _list(path, "storage", "StorageConfig", "The asker's configurations."),
        Operation(
            method="post",
            path=path,
            tag="storage",
            summary="A new destination.",
            body=Body(
                ref("ConfigBody"),
                example={"provider": "folder", "display_name": "Copies", "credentials": {"root": "/copies"}},
            ),
            answers={
                201: card,
                404: _problem("There is no such organization or project."),
                409: _problem("The destination can't be used."),
            },
            who="known",
        ),
        Operation(
            method="get",
            path=path + "/{config_id}",
            tag="storage",
            summary="One configuration.",
            parameters=[*one, _POSITION],
            answers={200: card},
            who="known",
        ),
        Operation(
            method="patch",
            path=path + "/{config_id}",
            tag="storage",
            summary="Change settings or credentials; what is left out stays.",
            parameters=one,
            body=Body(ref("ConfigPatch"), example={"enabled": False}),
            answers={200: card, 409: _problem("The provider can't change; or the destination can't be used.")},
            who="known",
        ),
        Operation(
            method="delete",
            path=path + "/{config_id}",
            tag="storage",
            summary="Delete a configuration and destroy its secrets; transfers that had not started are cancelled.",
            parameters=one,
            answers={204: Answer("It is gone.")},
            who="known",
        ),
        Operation(
            method="post",
            path=path + "/{config_id}/test",
            tag="storage",
            summary="Try the destination: credentials, path, upload of a tiny probe.",
            parameters=one,
            answers={200: Answer("The checks, ending at the first that fails.", ref("TestOutcome"))},
            who="known",
        ),
        Operation(
            method="post",
            path=path + "/{config_id}/authorize",
            tag="storage",
            summary="Begin the agreement of the destination's owner, on the provider's own page.",
            description="Open `authorization_url` in a browser; the provider leads back to `redirect_uri`.",
            parameters=one,
            answers={
                200: Answer("Where to go.", record({"authorization_url": TEXT, "redirect_uri": TEXT})),
                409: _problem("This provider needs no such agreement."),
            },
            who="known",
        ),
        Operation(
            method="get",
            path="/api/v1/destinations",
            tag="storage",
            summary="What the asker can select for an observation, by scope.",
            parameters=[Parameter("project", TEXT, "A project's id, for the destinations of its members."), _POSITION],
            answers={
                200: Answer(
                    "The destinations.",
                    record({scope: array({"type": "object"}) for scope in ("personal", "organization", "project")}),
                )
            },
            who="known",
        ),
        Operation(
            method="post",
            path=path + "/{config_id}/retry-failed",
            tag="storage",
            summary="Queue all failed transfers of this destination again.",
            parameters=one,
            answers={200: Answer("How many, or which.", record({"retried": {}}))},
            who="known",
        ),
    ]


def _groups(kind: str) -> list[Operation]:
    path = f"/api/v1/{kind}s"
    one, member = named("group"), named("group", "username")
    card = Answer(f"The {kind} with its members.", ref("Group"))
    conflict = {409: _problem("The state has moved on, or a rule forbids it now.")}
    return [
        _list(path, "groups", "Group", f"The asker's {kind}s."),
        Operation(
            method="post",
            path=path,
            tag="groups",
            summary=f"Found {'an' if kind == 'organization' else 'a'} {kind}; whoever does owns it.",
            body=Body(ref("GroupBody"), example={"name": "Survey"}),
            answers={201: card, 404: _problem("There is no such organization."), **conflict},
            who="known",
        ),
        Operation(
            method="get",
            path=path + "/{group}",
            tag="groups",
            summary=f"One {kind}.",
            parameters=[*one, _POSITION],
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


def _transfers() -> list[Operation]:
    one = named("transfer")
    filters = [
        Parameter(name, {"type": "string", "enum": list(STATUSES)} if name == "status" else TEXT, "Exactly this.")
        for name in FILTERS
    ]
    shown = Answer("The transfer.", ref("Transfer"))
    path = "/api/v1/transfers"
    return [
        _list(path, "transfers", "Transfer", "Transfers of the asker's observations and destinations.", *filters),
        Operation(
            method="get",
            path=path + "/{transfer}",
            tag="transfers",
            summary="One transfer.",
            parameters=[*one, _POSITION],
            answers={200: shown},
            who="known",
        ),
        *(
            Operation(
                method="post",
                path=path + "/{transfer}/" + verb,
                tag="transfers",
                summary=summary,
                parameters=one,
                answers={200: shown, 409: _problem("It isn't in a state that allows this.")},
                who="known",
            )
            for verb, summary in (
                ("retry", "Queue a failed transfer again, with a fresh attempt counter."),
                ("cancel", "Cancel a transfer that is pending or running."),
            )
        ),
    ]


def _history() -> list[Operation]:
    kinds = [kind.replace("_", "-") for kind in KINDS]
    return [
        Operation(
            method="get",
            path="/api/v1/audit/{kind}/{name}",
            tag="history",
            summary="The history of one thing, up to a time if one is given.",
            parameters=[
                Parameter("kind", {"type": "string", "enum": kinds}, where="path"),
                *named("name"),
                Parameter("at", MOMENT, "Nothing later than this."),
            ],
            answers={200: Answer("Its events.", record({"kind": TEXT, "id": TEXT, "results": array(ref("Entry"))}))},
            who="known",
        ),
        Operation(
            method="get",
            path="/api/v1/events",
            tag="history",
            summary="The feed of all events, in order.",
            parameters=[
                Parameter("after", {"type": "integer", "minimum": 0, "default": 0}, "Events beyond this position."),
                _PAGING[0],
            ],
            answers={200: Answer("The events.", record({"results": array(ref("Entry")), "position": WHOLE}))},
            who="superuser",
        ),
        Operation(
            method="get",
            path="/api/v1/openapi.json",
            tag="service",
            summary="This description.",
            answers={200: Answer("An OpenAPI document.", {"type": "object"})},
        ),
    ]


def _list(path: str, tag: str, item: str, summary: str, *filters: Parameter) -> Operation:
    page = record({"results": array(ref(item)), "next_cursor": nullable(TEXT)})
    return Operation(
        method="get",
        path=path,
        tag=tag,
        summary=summary,
        parameters=[*filters, *_PAGING, _POSITION],
        answers={200: Answer("A page, newest first.", page)},
        who="known",
    )


def _problem(description: str) -> Answer:
    return Answer(description, ref("Problem"), "application/problem+json")


_STRUCTS = (
    ObservationBody,
    DestinationsBody,
    ConfigBody,
    ConfigPatch,
    CalibrationReport,
    Entry,
    GroupBody,
    NameBody,
    MemberBody,
    OwnerBody,
)


def _schemas() -> dict[str, Schema]:
    name: Schema = {"id": TEXT}
    transfer = record(
        {
            "id": TEXT,
            "status": {"type": "string", "enum": list(STATUSES)},
            "held": TRUTH,
            "attempts": WHOLE,
            "failures": WHOLE,
            "next_attempt_at": nullable(MOMENT),
            "bytes_sent": nullable(WHOLE),
            "bytes_total": nullable(WHOLE),
            "destination_path": nullable(TEXT),
            "error": nullable(TEXT),
            "storage_config": TEXT,
            "frame": TEXT,
            "content": TEXT,
            "requested_at": MOMENT,
            "completed_at": nullable(MOMENT),
        }
    )
    submitted = record({**name, "name": TEXT, "owner": TEXT, "project": TEXT, "target": TEXT})
    with_transfers = {**submitted, "properties": {**submitted["properties"], "transfers": array(ref("Transfer"))}}
    return {
        **struct_schemas(*_STRUCTS),
        "Group": record(
            {
                "id": TEXT,
                "name": TEXT,
                "owner": TEXT,
                "organization": nullable(TEXT),
                "created_at": MOMENT,
                "members": array(record({"username": TEXT, "permissions": array(TEXT)})),
                "permissions": array(TEXT),
            },
            "organization",
        ),
        "Problem": record({"type": TEXT, "title": TEXT, "status": WHOLE, "detail": TEXT, "field": TEXT}, "field"),
        "IngestForm": record(
            {
                "file": {"type": "string", "format": "binary"},
                "observation": {"type": "string", "description": "The observation that the file belongs to."},
                "calibrated_from": {"type": "string", "description": "The basename of the raw frame."},
            },
            "observation",
            "calibrated_from",
        ),
        "Submitted": submitted,
        "Observation": submitted,
        "ObservationWithTransfers": with_transfers,
        "StorageConfig": record(
            {
                **name,
                "owner": TEXT,
                "provider": TEXT,
                "scope": TEXT,
                "scope_id": TEXT,
                "display_name": TEXT,
                "destination_path": TEXT,
                "path_template": TEXT,
                "file_content": TEXT,
                "delete_from_server": TRUTH,
                "enabled": TRUTH,
                "comment": TEXT,
                "credentials_set": array(TEXT),
                "created_at": MOMENT,
                "transfers": {"type": "object", "additionalProperties": WHOLE},
            }
        ),
        "TestOutcome": record(
            {
                "ok": TRUTH,
                "checks": array(record({"name": TEXT, "ok": TRUTH, "reason": TEXT})),
                "tested_at": MOMENT,
            }
        ),
        "Transfer": transfer,
    }


def surface() -> Surface:
    """The whole own API."""
    return Surface(
        title="Starferry: own API",
        description=_ABOUT,
        tags=_TAGS,
        operations=operations(),
        schemas=_schemas(),
        error=_problem("An error."),
        refusal=_problem("Bad input; the detail says what to mend."),
    )


@get("/openapi.json")
async def description(request: AnyRequest) -> Response[bytes]:
    """The OpenAPI document."""
    core = serving_of(request).core
    return json_answer(document(surface(), base_url(core, request)))
