"""Bodies of our own API: those that are sent are the structs that read them."""

from __future__ import annotations

from api.openapi import MOMENT, TEXT, TRUTH, WHOLE, Schema, array, nullable, record, ref, struct_schemas
from api.v1.deliveries import Delivered, DeliveryBody
from api.v1.groups import GroupBody, MemberBody, NameBody, OwnerBody
from api.v1.ingest import CalibrationReport
from api.v1.mail_notices import MailForm
from api.v1.observations import DestinationsBody, ObservationBody, ResubmitBody
from api.v1.previews import PreviewBody
from api.v1.standing_deliveries import RuleBody, RuleCard, RulePatch
from api.v1.storage_configs import ConfigBody, ConfigPatch
from api.v1.transfers import COPIES, STATUSES
from api.v1.webhooks import WebhookForm
from application.commands.preview_paths import Preview
from application.history import Entry
from application.states import State
from application.transfer_news import News, Progress
from application.webhook_message import WebhookBody
from projections.frames.thumbnails import ThumbnailRow

_STRUCTS = (
    ObservationBody,
    DestinationsBody,
    ResubmitBody,
    ConfigBody,
    ConfigPatch,
    PreviewBody,
    Preview,
    DeliveryBody,
    Delivered,
    RuleBody,
    RulePatch,
    RuleCard,
    CalibrationReport,
    Entry,
    State,
    ThumbnailRow,
    News,
    Progress,
    MailForm,
    WebhookForm,
    WebhookBody,
    GroupBody,
    NameBody,
    MemberBody,
    OwnerBody,
)


def schemas() -> dict[str, Schema]:
    """All of them, by name."""
    name: Schema = {"id": TEXT}
    transfer = record(
        {
            "id": TEXT,
            "status": {"type": "string", "enum": list(STATUSES)},
            "held": TRUTH,
            "attempts": WHOLE,
            "actions": array(TEXT),
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
            "copy": nullable({"type": "string", "enum": list(COPIES)}),
            "checked_at": nullable(MOMENT),
            "checking": TRUTH,
            "next_check_at": nullable(MOMENT),
            "check_reason": nullable(TEXT),
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
                "metadata": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "description": "Header keys with their values; they win over the file's own.",
                },
            },
            "observation",
            "calibrated_from",
            "metadata",
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
                "max_transfers": nullable(WHOLE),
                "max_bytes_per_second": nullable(WHOLE),
                "enabled": TRUTH,
                "comment": TEXT,
                "credentials_set": array(TEXT),
                "actions": array(TEXT),
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
        "Webhook": record(
            {
                **name,
                "owner": TEXT,
                "name": TEXT,
                "host": TEXT,
                "interests": array(TEXT),
                "storage_config": nullable(TEXT),
                "created_at": MOMENT,
                "deliveries": {"type": "object", "additionalProperties": WHOLE},
            }
        ),
        "Delivery": record(
            {
                **name,
                "event": TEXT,
                "position": WHOLE,
                "status": {"type": "string", "enum": ["waiting", "delivered", "failed"]},
                "attempts": WHOLE,
                "created_at": MOMENT,
                "next_attempt_at": nullable(MOMENT),
                "done_at": nullable(MOMENT),
                "http_status": nullable(WHOLE),
                "reason": nullable(TEXT),
            }
        ),
    }
