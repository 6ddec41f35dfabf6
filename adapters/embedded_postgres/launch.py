"""Becomes the account that PostgreSQL shall run as, then becomes PostgreSQL's program.

A script of its own, `python -I -S launch.py SPEC`, with the standard library only: changing accounts between fork and
exec isn't safe in a program with threads. SPEC is JSON, all fields but `argv` may be left out:

    argv        the program and its arguments; holds no secret, for every user can read it
    identity    uid, gid, capability, inside_uid, inside_gid (see identity.Identity)
    reach       folders that the new account must be able to enter
    lock        a lock file that the program and its children hold until the last of them has ended
    use_lock    serve: keep a watcher that tells the program to end (SIGINT) once nobody shares this lock
    passing     serve: a folder that the watcher removes after it has ended the program
    detach      serve: return as soon as the program runs

Exit status 70 and a line on stderr when the program couldn't be run.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import sys
from typing import Any, NoReturn

CLONE_NEWUSER = 0x10000000
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAPABILITY_VERSION_3 = 0x20080522
COULD_NOT_RUN = 70


def main() -> None:
    spec = json.loads(sys.argv[1])
    lock = take(spec["lock"]) if spec.get("lock") else None
    if not spec.get("detach"):
        run(spec)
    if os.fork():
        return
    use_lock = spec.get("use_lock")
    if use_lock is None:
        run(spec)
    server = os.fork()
    if server == 0:
        run(spec)
    if lock is not None:
        os.close(lock)
    watch(server, use_lock, spec.get("passing"))


def take(path: str) -> int:
    """Not closed on exec: whoever inherits the descriptor holds the lock too."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.set_inheritable(lock, True)
    return lock


def run(spec: dict[str, Any]) -> NoReturn:
    try:
        become(spec.get("identity") or {})
        for folder in spec.get("reach") or []:
            os.chdir(folder)
        # The folder we were started in may be closed to the new account, and PostgreSQL's programs mind.
        os.chdir("/")
        os.umask(0o077)
        # Python ignores it, and what is ignored stays so in the next program.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execv(spec["argv"][0], spec["argv"])  # noqa: S606 - no shell is the point
    except OSError as error:
        print(f"could not run: {error}", file=sys.stderr, flush=True)
    os._exit(COULD_NOT_RUN)


def become(identity: dict[str, Any]) -> None:
    if identity.get("inside_uid") is not None:
        enter_namespace(identity)
    elif identity.get("uid") is not None and identity["uid"] != os.geteuid():
        change_account(identity["uid"], identity["gid"], identity.get("capability"))


def enter_namespace(identity: dict[str, Any]) -> None:
    """Stay who we are for the file system and be somebody else for the program."""
    import ctypes

    uid, gid = os.geteuid(), os.getegid()
    checked(ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER))
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{identity['inside_uid']} {uid} 1"),
        ("gid_map", f"{identity['inside_gid']} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def change_account(uid: int, gid: int, capability: int | None) -> None:
    """Become an ordinary user, who keeps at most the one capability."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if capability is not None:
        # Without this bit access(2), by which PostgreSQL finds its own files, leaves capabilities out of account.
        checked(libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0))
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if capability is not None:
        low, high = (1 << capability) & 0xFFFFFFFF, (1 << capability) >> 32
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
        kept = (ctypes.c_uint32 * 6)(low, low, low, high, high, high)
        checked(libc.capset(header, kept))
        checked(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0))


def checked(result: int) -> None:
    import ctypes

    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def watch(server: int, use_lock: str, passing: str | None) -> NoReturn:
    """End the server when the last program that uses it has ended, and end with the server.

    Unlike a parent-death signal this isn't tied to the thread that started the server, and a second program that
    adopted the server keeps it alive.
    """

    def server_ended(*_: object) -> None:
        ended, _status = os.waitpid(server, os.WNOHANG)
        if ended:
            os._exit(0)

    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    os.chdir("/")
    for stream in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), stream)
    signal.signal(signal.SIGCHLD, server_ended)
    server_ended()
    # Held until all is done, so that whoever wants to use it next waits for that.
    fcntl.flock(os.open(use_lock, os.O_RDWR | os.O_CREAT, 0o600), fcntl.LOCK_EX)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.kill(server, signal.SIGINT)
    os.waitpid(server, 0)
    if passing is not None:
        shutil.rmtree(passing, ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    main()
