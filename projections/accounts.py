"""The accounts read model: who comes in with which token.

`proposals` were granted by an operator, `learned` come from the portal; `synced` says that the portal knows the user,
`portal_token` is the hash of the token that it gave them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

from domain.accounts import (
    AccountChanged,
    AccountCreated,
    AccountSynced,
    ProposalsLearned,
    TokenIssued,
    TokenRevoked,
)
from domain.event import Recorded
from projections.projection import Cursor

TABLES = """
CREATE TABLE account (
    username text PRIMARY KEY, is_superuser boolean NOT NULL, is_staff boolean NOT NULL, active boolean NOT NULL,
    proposals text[] NOT NULL, created_at timestamptz NOT NULL,
    learned text[] NOT NULL DEFAULT '{}', synced boolean NOT NULL DEFAULT false, portal_token text NOT NULL DEFAULT ''
);
CREATE TABLE token (hash text PRIMARY KEY, username text NOT NULL, issued_at timestamptz NOT NULL);
"""

INDEXES = """
CREATE INDEX token_username ON token (username);
CREATE INDEX account_portal_token ON account (portal_token) WHERE portal_token <> '';
"""


class AccountsProjection:
    """See the module."""

    name = "accounts"
    version = 1
    tables = TABLES
    indexes = INDEXES
    topics = frozenset(
        event.topic
        for event in (AccountCreated, AccountChanged, AccountSynced, ProposalsLearned, TokenIssued, TokenRevoked)
    )

    def apply(self, cursor: Cursor, events: Sequence[Recorded]) -> None:
        """See Projection.apply."""
        for recorded in events:
            username = recorded.stream.removeprefix("account:")
            match recorded.event:
                case AccountCreated() as event:
                    cursor.execute(
                        "INSERT INTO account VALUES (%s, %s, %s, true, '{}', %s) ON CONFLICT DO NOTHING",
                        (username, event.is_superuser, event.is_staff, recorded.at),
                    )
                case AccountChanged() as event:
                    cursor.execute(
                        "UPDATE account SET is_superuser = %s, is_staff = %s, active = %s, proposals = %s "
                        "WHERE username = %s",
                        (event.is_superuser, event.is_staff, event.active, list(event.proposals), username),
                    )
                case AccountSynced() as event:
                    cursor.execute(
                        "UPDATE account SET is_superuser = %s, is_staff = %s, portal_token = %s, synced = true "
                        "WHERE username = %s",
                        (event.is_superuser, event.is_staff, event.portal_token, username),
                    )
                case ProposalsLearned() as event:
                    cursor.execute(
                        "UPDATE account SET learned = %s WHERE username = %s", (list(event.proposals), username)
                    )
                case TokenIssued() as event:
                    cursor.execute(
                        "INSERT INTO token VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                        (event.hash, username, recorded.at),
                    )
                case TokenRevoked() as event:
                    cursor.execute("DELETE FROM token WHERE hash = %s", (event.hash,))
                case _:
                    pass


def accounts(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """All accounts by name, each with the number of its tokens."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "SELECT username, is_superuser, is_staff, active, proposals, learned, synced, "
            "(SELECT count(*) FROM read_accounts.token t WHERE t.username = a.username) AS tokens "
            "FROM read_accounts.account a ORDER BY username"
        ).fetchall()
