"""Observations, destinations and transfers described."""

from __future__ import annotations

from api.openapi import TEXT, WHOLE, Answer, Body, Operation, Parameter, array, named, record, ref
from api.v1.description_parts import PAGING, POSITION, listed, problem
from api.v1.transfer_events import EVENT_FILTERS, MEDIA
from api.v1.transfers import COPIES, FILTERS, STATUSES

_CHECKING = Answer("How many copies are going to be checked.", record({"checking": WHOLE}))


def observations() -> list[Operation]:
    """What owners asked for."""
    one = named("observation")
    return [
        listed("/api/v1/observations", "observations", "Observation", "The asker's observations."),
        Operation(
            method="post",
            path="/api/v1/observations",
            tag="observations",
            summary="Submit an observation with its destinations.",
            body=Body(ref("ObservationBody"), example={"name": "M31 in V", "observation_id": 799390500}),
            answers={
                201: Answer("The observation.", ref("Submitted")),
                404: problem("A destination isn't there, or isn't the asker's."),
                409: problem("The number was submitted before."),
            },
            who="known",
        ),
        Operation(
            method="get",
            path="/api/v1/observations/{observation}",
            tag="observations",
            summary="One observation with the transfers of its files.",
            parameters=[*one, *PAGING, POSITION],
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
                409: problem("A destination can't be selected."),
            },
            who="known",
        ),
        Operation(
            method="post",
            path="/api/v1/observations/{observation}/verify",
            tag="observations",
            summary="Have all copies of its files checked, at whatever destination.",
            parameters=one,
            answers={202: _CHECKING},
            who="known",
        ),
        Operation(
            method="post",
            path="/api/v1/observations/{observation}/resubmit",
            tag="observations",
            summary="Submit another observation like this one, with the destinations that it has now.",
            parameters=one,
            body=Body(ref("ResubmitBody"), example={"observation_id": 799390501}),
            answers={
                201: Answer("The new observation.", ref("Submitted")),
                409: problem("The number was submitted before, or this one was never submitted."),
            },
            who="known",
        ),
        Operation(
            method="post",
            path="/api/v1/observations/{observation}/retry-failed",
            tag="observations",
            summary="Queue all failed transfers of this observation's files again.",
            parameters=one,
            answers={200: Answer("Which.", record({"retried": array(TEXT)}))},
            who="known",
        ),
    ]


def storage() -> list[Operation]:
    """Places that copies can go to."""
    one = named("config_id")
    card = Answer("The configuration, without its secrets.", ref("StorageConfig"))
    path = "/api/v1/storage-configs"
    return [
        listed(path, "storage", "StorageConfig", "The asker's configurations."),
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
                404: problem("There is no such organization or project."),
                409: problem("The destination can't be used."),
            },
            who="known",
        ),
        Operation(
            method="get",
            path=path + "/{config_id}",
            tag="storage",
            summary="One configuration.",
            parameters=[*one, POSITION],
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
            answers={200: card, 409: problem("The provider can't change; or the destination can't be used.")},
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
            answers={
                200: Answer("The checks, ending at the first that fails.", ref("TestOutcome")),
                409: problem("It is being tested already, or the asker has several others tested."),
            },
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
                409: problem("This provider needs no such agreement."),
            },
            who="known",
        ),
        Operation(
            method="get",
            path="/api/v1/destinations",
            tag="storage",
            summary="What the asker can select for an observation, by scope.",
            parameters=[Parameter("project", TEXT, "A project's id, for the destinations of its members."), POSITION],
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
        Operation(
            method="post",
            path=path + "/{config_id}/clear-failed",
            tag="storage",
            summary="Take all failed transfers of this destination out of the lists.",
            parameters=one,
            answers={200: Answer("Which.", record({"cleared": array(TEXT)}))},
            who="known",
        ),
        Operation(
            method="post",
            path=path + "/{config_id}/verify",
            tag="storage",
            summary="Have all copies at this destination checked.",
            parameters=one,
            answers={202: _CHECKING, 409: problem("It has been deleted.")},
            who="known",
        ),
        Operation(
            method="post",
            path="/api/v1/path-preview",
            tag="storage",
            summary="The paths that the newest frames which the asker may see would get; nothing is saved.",
            description="As in a destination with nothing in it. What is left out is the storage configuration's.",
            body=Body(ref("PreviewBody"), example={"path_template": "$PROJECT/$TARGET", "limit": 5}),
            answers={
                200: Answer("A path for each frame.", record({"results": array(ref("Preview"))})),
                404: problem("There is no such storage configuration."),
            },
            who="known",
        ),
    ]


def transfers() -> list[Operation]:
    """Files on their way."""
    one = named("transfer")
    choices = {"status": STATUSES, "copy": COPIES}
    filters = [
        Parameter(name, {"type": "string", "enum": list(choices[name])} if name in choices else TEXT, "Exactly this.")
        for name in FILTERS
    ]
    shown = Answer("The transfer.", ref("Transfer"))
    path = "/api/v1/transfers"
    return [
        listed(path, "transfers", "Transfer", "Transfers of the asker's observations and destinations.", *filters),
        *(_events(address) for address in (path + "/events", "/api/v1/stream")),
        Operation(
            method="get",
            path=path + "/{transfer}",
            tag="transfers",
            summary="One transfer.",
            parameters=[*one, POSITION],
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
                answers={200: shown, 409: problem("It isn't in a state that allows this.")},
                who="known",
            )
            for verb, summary in (
                ("retry", "Queue a failed transfer again, with a fresh attempt counter; or one whose copy is missing."),
                (
                    "cancel",
                    "Cancel a transfer that is pending or running; or give up one that has failed, or whose copy is "
                    "missing or changed: nothing waits for it any more.",
                ),
            )
        ),
        Operation(
            method="post",
            path=path + "/{transfer}/clear",
            tag="transfers",
            summary="Take a failed transfer, or one whose copy is lost, out of the lists. It can still be retried.",
            parameters=one,
            answers={204: Answer("It is in no list."), 409: problem("It isn't failed, nor its copy lost.")},
            who="known",
        ),
        Operation(
            method="post",
            path=path + "/{transfer}/verify",
            tag="transfers",
            summary="Have the copy checked: is it still there and unchanged?",
            description="A worker asks the destination. Until it has, `checking` is true; `copy` says what it found.",
            parameters=one,
            answers={202: shown, 409: problem("It isn't completed.")},
            who="known",
        ),
    ]


def _events(path: str) -> Operation:
    """What happens, as it happens; also at the address that is named for the whole service."""
    return Operation(
        method="get",
        path=path,
        tag="transfers",
        summary="State changes and progress of the asker's transfers, as they happen.",
        description=(
            "Server-sent events without an end: `open`, then `state` and `progress`. Their data are `News`; those of a "
            "`progress` without an id are `Progress`."
        ),
        parameters=[
            *(Parameter(name, TEXT, "Exactly this.") for name in EVENT_FILTERS),
            Parameter("after", WHOLE, "Go on after this event."),
            Parameter("last-event-id", WHOLE, "The same, as browsers send it that come back.", "header"),
        ],
        answers={200: Answer("The events.", TEXT, MEDIA)},
        who="known",
    )
