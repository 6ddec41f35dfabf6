"""As whom the server runs.

PostgreSQL refuses to run as root. When we are root it runs, in this order of preference, as

1. the owner of the database directory if that isn't root, else a number that no account has, with no capability: the
   least that does, where the folders above the data and above PostgreSQL's programs let it pass;
2. the same with the one capability to pass closed folders (needs CAP_SETPCAP, which Docker grants by default);
3. ourselves behind a user namespace, where root has another number (Docker's seccomp profile forbids it, but sandboxes
   that know no user but root allow it).

No folder's mode or owner is changed for that. initdb wants an account with a name, so it may run as another one, and
its files are given to the server's afterwards.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator

import msgspec

CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
# A range that neither distributions nor systemd give away (systemd's "Users, Groups, UIDs and GIDs": 60578-61183).
NAMELESS_UIDS = range(60_731, 61_184)
# Most suitable first; each is on every Debian, Red Hat or Alpine.
ACCOUNTS = ("nobody", "daemon", "bin")


class Identity(msgspec.Struct, frozen=True):
    """Who the files belong to (`uid`, `gid`), a capability to keep, and the numbers inside a user namespace."""

    uid: int
    gid: int
    capability: int | None = None
    inside_uid: int | None = None
    inside_gid: int | None = None


def identities(owner_uid: int, owner_gid: int) -> Iterator[Identity]:
    """Who the server of a directory with this owner may run as, the best first."""
    if os.geteuid() != 0:
        yield Identity(os.geteuid(), os.getegid())
        return
    uid, gid = (owner_uid, owner_gid) if owner_uid != 0 else _nameless()
    yield Identity(uid, gid)
    yield Identity(uid, gid, capability=CAP_DAC_READ_SEARCH)
    yield Identity(uid, gid, capability=CAP_DAC_OVERRIDE)
    if owner_uid == 0:
        yield from _behind_a_namespace()


def makers(server: Identity) -> Iterator[Identity]:
    """Who may run initdb so that `server` can take over: an account with a name."""
    if server.inside_uid is not None or _has_name(server.uid):
        yield server
    elif os.geteuid() == 0:
        for account in _accounts():
            yield msgspec.structs.replace(server, uid=account.pw_uid, gid=account.pw_gid)
    else:
        yield from _behind_a_namespace()


def _behind_a_namespace() -> Iterator[Identity]:
    for account in _accounts():
        yield Identity(os.geteuid(), os.getegid(), inside_uid=account.pw_uid, inside_gid=account.pw_gid)


def _accounts() -> Iterator[pwd.struct_passwd]:
    for name in ACCOUNTS:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        if account.pw_uid != 0:
            yield account


def _nameless() -> tuple[int, int]:
    number = next((uid for uid in NAMELESS_UIDS if not _has_name(uid)), NAMELESS_UIDS[0])
    return number, number


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True
