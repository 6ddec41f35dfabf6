"""What every vault promises, asked of the one in memory and of the one in a real PostgreSQL."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Protocol

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from adapters.vault.envelope import DataKey
from adapters.vault.keyring import Keyring, parse
from adapters.vault.memory_vault import MemoryVault
from adapters.vault.postgres_vault import REWRAP_BATCH, PostgresVault
from application.ports.vault import Vault
from domain.errors import GiveUp, InvalidInput, Misconfigured, RetryLater
from tests.postgres import fresh_database, start_test_cluster


class RotatingVault(Vault, Protocol):
    def check(self) -> None: ...

    def rewrap(self, progress: Callable[[int], None]) -> int: ...


Opener = Callable[[Keyring], RotatingVault]
"""Opens the same stored secrets with some keyring."""


def keyring(*ids: str, salt: int = 0) -> Keyring:
    keys = {"old": bytes(range(32)), "new": bytes(range(32, 64))}
    encoded = {id: base64.b64encode(bytes(byte ^ salt for byte in key)).decode() for id, key in keys.items()}
    return parse(",".join(f"{id}:{encoded[id]}" for id in ids), "the test")


OLD, BOTH, NEW = keyring("old"), keyring("new", "old"), keyring("new")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = start_test_cluster(tmp_path_factory.mktemp("postgres") / "server")
    yield server.start()
    server.stop()


@pytest.fixture
def database(cluster: str) -> Iterator[str]:
    tables = files("adapters.postgres.migrations").joinpath("0002_vault.sql").read_text()
    with fresh_database(cluster) as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(tables.encode())
        yield conninfo


@pytest.fixture
def pool(database: str) -> Iterator[ConnectionPool[psycopg.Connection]]:
    with ConnectionPool(database, min_size=1, max_size=8) as pool:
        yield pool


def in_memory() -> Opener:
    stored = MemoryVault(OLD)

    def open_with(keys: Keyring) -> MemoryVault:
        vault = MemoryVault(keys)
        vault._owned = stored._owned
        return vault

    return open_with


@pytest.fixture(params=["memory", "postgres"])
def opener(request: pytest.FixtureRequest) -> Opener:
    if request.param == "memory":
        return in_memory()
    pool: ConnectionPool[psycopg.Connection] = request.getfixturevalue("pool")
    return lambda keys: PostgresVault(pool, keys)


@pytest.fixture
def vault(opener: Opener) -> RotatingVault:
    return opener(OLD)


def ignore(_: int) -> None:
    pass


SECRETS: Mapping[str, str] = {"app_key": "k-123", "app_secret": "grüße 🔭", "empty": "", "long": "x" * 100_000}


def test_secrets_come_back_as_they_were_put(vault: Vault) -> None:
    assert vault.put("cfg-1", SECRETS) == 1
    assert vault.get("cfg-1") == SECRETS
    assert vault.names("cfg-1") == frozenset(SECRETS)


def test_an_unknown_owner_has_no_secrets(vault: Vault) -> None:
    assert vault.get("cfg-1") == {}
    assert vault.names("cfg-1") == frozenset()


def test_several_owners_secrets_are_put_and_shredded_at_once(vault: Vault) -> None:
    vault.put("known", {"kept": "k", "replaced": "old"})
    wanted = {"known": {"replaced": "new"}, "new": SECRETS, "another": {"name": "a"}, "without": {}}
    vault.put_each(wanted)
    assert {owner: vault.get(owner) for owner in wanted} == {
        "known": {"kept": "k", "replaced": "new"}, "new": SECRETS, "another": {"name": "a"}, "without": {},
    }  # fmt: skip
    vault.shred_each(["new", "another", "never seen"])
    assert [vault.get(owner) for owner in ("new", "another")] == [{}, {}]
    assert vault.get("known")["kept"] == "k"
    vault.put_each({})
    vault.shred_each([])


def test_two_who_put_for_the_same_owners_wait_for_each_other_and_no_longer(opener: Opener) -> None:
    owners = [f"owner-{number}" for number in range(20)]

    def put(names: list[str]) -> None:
        opener(OLD).put_each({name: {"of": names[0]} for name in names})

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(put, [owners, owners[::-1]]))
    assert {opener(OLD).get(owner)["of"] for owner in owners} <= {owners[0], owners[-1]}


def test_a_put_replaces_what_it_names_and_leaves_the_rest(vault: Vault) -> None:
    vault.put("cfg-1", {"client_id": "a", "client_secret": "b"})
    assert vault.put("cfg-1", {"client_secret": "c", "refresh_token": "d"}) == 2
    assert vault.put("cfg-1", {"refresh_token": "e"}) == 3
    assert vault.get("cfg-1") == {"client_id": "a", "client_secret": "c", "refresh_token": "e"}


def test_putting_nothing_changes_nothing(vault: Vault) -> None:
    assert vault.put("cfg-1", {}) == 0
    assert vault.put("cfg-1", {"token": "a"}) == 1
    assert vault.put("cfg-1", {}) == 1
    assert vault.get("cfg-1") == {"token": "a"}


def test_owners_do_not_see_each_other(vault: Vault) -> None:
    vault.put("cfg-1", {"token": "one"})
    vault.put("upload:t-1", {"token": "two"})
    assert vault.get("cfg-1") == {"token": "one"}
    assert vault.get("upload:t-1") == {"token": "two"}


def test_shredded_secrets_are_gone_and_others_stay(vault: Vault) -> None:
    vault.put("cfg-1", {"token": "one"})
    vault.put("cfg-2", {"token": "two"})
    vault.shred("cfg-1")
    vault.shred("cfg-1")
    assert vault.get("cfg-1") == {}
    assert vault.names("cfg-1") == frozenset()
    assert vault.get("cfg-2") == {"token": "two"}
    assert vault.put("cfg-1", {"token": "three"}) == 1


def test_what_is_taken_is_got_once(vault: Vault) -> None:
    vault.put("oauth:1", {"pending": "state"})
    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(lambda _: vault.take("oauth:1"), range(8)))
    assert sorted(map(len, got)) == [0] * 7 + [1]
    assert {"pending": "state"} in got
    assert vault.take("oauth:1") == vault.get("oauth:1") == {}


def test_what_cant_be_opened_is_destroyed_all_the_same_when_it_is_taken(opener: Opener) -> None:
    opener(OLD).put("cfg-1", SECRETS)
    with pytest.raises(Misconfigured):
        opener(NEW).take("cfg-1")
    assert opener(OLD).names("cfg-1") == frozenset()


def test_owners_are_found_by_what_their_names_begin_with(vault: Vault) -> None:
    for owner in ("oauth:1", "oauth:2", "oauth", "upload:oauth:", "o_uth:3"):
        vault.put(owner, {"name": "a"})
    assert sorted(vault.owners("oauth:")) == ["oauth:1", "oauth:2"]
    assert vault.owners("o%") == []


def test_names_need_no_master_key(opener: Opener) -> None:
    opener(OLD).put("cfg-1", {"token": "one"})
    assert opener(NEW).names("cfg-1") == {"token"}


def test_without_their_master_key_secrets_stay_closed_and_unharmed(opener: Opener) -> None:
    opener(OLD).put("cfg-1", {"token": "one"})
    for keys in (NEW, keyring("old", salt=1)):
        stranger = opener(keys)
        with pytest.raises(Misconfigured, match="master key 'old'"):
            stranger.get("cfg-1")
        with pytest.raises(Misconfigured, match="master key 'old'"):
            stranger.put("cfg-1", {"token": "two"})
        with pytest.raises(Misconfigured, match="master key 'old'"):
            stranger.check()
    assert opener(OLD).get("cfg-1") == {"token": "one"}
    assert opener(OLD).put("cfg-1", {"token": "two"}) == 2


def test_the_check_passes_on_an_empty_vault_and_with_all_keys_in_use(opener: Opener) -> None:
    opener(OLD).check()
    opener(OLD).put("cfg-1", {"token": "one"})
    opener(NEW).put("cfg-2", {"token": "two"})
    opener(BOTH).check()
    with pytest.raises(Misconfigured):
        opener(NEW).check()


def test_s26_a_rotation_moves_every_data_key_to_the_newest_master_key(opener: Opener) -> None:
    count = 2 * REWRAP_BATCH + 5
    for number in range(count):
        opener(OLD).put(f"cfg-{number}", {"token": str(number)})
    opener(BOTH).put("cfg-new", {"token": "new"})
    reached: list[int] = []
    assert opener(BOTH).rewrap(reached.append) == count
    assert reached[-1] == count
    assert opener(BOTH).rewrap(reached.append) == 0
    opener(NEW).check()
    assert opener(NEW).get("cfg-7") == {"token": "7"}
    assert opener(NEW).get("cfg-new") == {"token": "new"}
    with pytest.raises(Misconfigured):
        opener(OLD).get("cfg-7")


def test_a_rotation_without_the_old_master_key_says_so_and_harms_nothing(opener: Opener) -> None:
    opener(OLD).put("cfg-1", {"token": "one"})
    with pytest.raises(Misconfigured, match="'old'"):
        opener(NEW).rewrap(ignore)
    assert opener(OLD).get("cfg-1") == {"token": "one"}


def test_s26_secrets_are_put_and_read_while_a_rotation_runs(opener: Opener) -> None:
    for number in range(150):
        opener(OLD).put(f"cfg-{number}", {"token": "0"})
    start = threading.Barrier(3)

    def rotate() -> int:
        start.wait()
        return opener(BOTH).rewrap(ignore)

    def use(first: int) -> None:
        start.wait()
        for number in range(first, 150, 2):
            assert opener(BOTH).put(f"cfg-{number}", {"token": "1"}) == 2
            assert opener(BOTH).get(f"cfg-{number}") == {"token": "1"}

    with ThreadPoolExecutor(3) as threads:
        rotation = threads.submit(rotate)
        for user in [threads.submit(use, 0), threads.submit(use, 1)]:
            user.result()
        assert rotation.result() == 150
    assert opener(NEW).get("cfg-149") == {"token": "1"}


def test_a_rotation_never_brings_a_shredded_data_key_back(
    database: str, pool: ConnectionPool[psycopg.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    PostgresVault(pool, OLD).put("cfg-1", {"token": "first"})

    def replace() -> None:
        PostgresVault(pool, OLD).shred("cfg-1")
        PostgresVault(pool, OLD).put("cfg-1", {"token": "second"})

    replacing = threading.Thread(target=replace)
    unwrap = BOTH.unwrap

    def replace_meanwhile(owner: str, master_key_id: str, wrapped: bytes) -> DataKey:
        if replacing.ident is None:
            replacing.start()
            with psycopg.connect(database, autocommit=True) as watch:
                blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted"
                while replacing.is_alive() and watch.execute(blocked).fetchone() == (0,):
                    pass
        return unwrap(owner, master_key_id, wrapped)

    monkeypatch.setattr(BOTH, "unwrap", replace_meanwhile)
    PostgresVault(pool, BOTH).rewrap(ignore)
    replacing.join()
    assert PostgresVault(pool, BOTH).get("cfg-1") == {"token": "second"}


def test_concurrent_puts_of_one_owner_are_counted_and_none_is_lost(vault: Vault) -> None:
    with ThreadPoolExecutor(8) as threads:
        versions = list(threads.map(lambda number: vault.put("cfg-1", {f"f{number}": str(number)}), range(40)))
    assert sorted(versions) == list(range(1, 41))
    assert vault.get("cfg-1") == {f"f{number}": str(number) for number in range(40)}


def test_puts_and_shreds_of_one_owner_at_once_leave_it_whole(vault: Vault) -> None:
    def put_or_shred(number: int) -> None:
        if number % 3:
            vault.put("cfg-1", {"token": str(number)})
        else:
            vault.shred("cfg-1")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(put_or_shred, range(60)))
    vault.put("cfg-1", {"token": "last"})
    assert vault.get("cfg-1") == {"token": "last"}


@pytest.mark.parametrize(
    ("owner", "secrets"),
    [("", {"a": "b"}), ("cfg\0", {"a": "b"}), ("cfg-1", {"": "b"}), ("cfg-1", {"a": "s3cret\udcff"})],
)
def test_names_and_text_that_cannot_be_kept_are_refused_without_showing_them(
    vault: Vault, owner: str, secrets: dict[str, str]
) -> None:
    with pytest.raises(InvalidInput) as refused:
        vault.put(owner, secrets)
    assert "s3cret" not in f"{refused.value}{refused.value.__cause__!r}"
    assert vault.names("cfg-1") == frozenset()


def test_s21_the_database_holds_no_secret_in_the_clear(database: str, pool: ConnectionPool[psycopg.Connection]) -> None:
    PostgresVault(pool, OLD).put("cfg-1", {"token": "very-secret-token"})
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT k.wrapped, s.ciphertext FROM vault.data_key k, vault.secret s").fetchone()
    assert row is not None
    assert b"secret" not in row[0] + row[1]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE vault.secret t SET nonce = s.nonce, ciphertext = s.ciphertext FROM vault.secret s"
        " WHERE s.field = 'b' AND t.field = 'a' AND s.owner = t.owner",
        "UPDATE vault.secret t SET nonce = s.nonce, ciphertext = s.ciphertext FROM vault.secret s"
        " WHERE s.field = t.field AND s.owner = 'cfg-2' AND t.owner = 'cfg-1'",
        "UPDATE vault.secret SET version = 2",
        "UPDATE vault.secret SET ciphertext = ciphertext || '\\x00'",
    ],
)
def test_s21_a_ciphertext_moved_or_changed_in_the_database_fails_to_open(
    database: str, pool: ConnectionPool[psycopg.Connection], change: str
) -> None:
    vault = PostgresVault(pool, OLD)
    vault.put("cfg-1", {"a": "one", "b": "two"})
    vault.put("cfg-2", {"a": "three", "b": "four"})
    with psycopg.connect(database) as connection:
        connection.execute(change.encode())
    with pytest.raises(GiveUp, match="altered or moved"):
        vault.get("cfg-1")


def test_s21_a_data_key_moved_to_another_owner_fails_to_open(
    database: str, pool: ConnectionPool[psycopg.Connection]
) -> None:
    vault = PostgresVault(pool, OLD)
    vault.put("cfg-1", {"a": "one"})
    vault.put("cfg-2", {"a": "two"})
    with psycopg.connect(database) as connection:
        connection.execute(
            "UPDATE vault.data_key SET wrapped = (SELECT wrapped FROM vault.data_key WHERE owner = 'cfg-2')"
        )
    with pytest.raises(Misconfigured):
        vault.get("cfg-1")


def test_s25_shredding_removes_the_data_key_and_every_row(
    database: str, pool: ConnectionPool[psycopg.Connection]
) -> None:
    vault = PostgresVault(pool, OLD)
    vault.put("cfg-1", {"a": "one"})
    vault.shred("cfg-1")
    with psycopg.connect(database) as connection:
        left = connection.execute("SELECT (SELECT count(*) FROM vault.data_key) + (SELECT count(*) FROM vault.secret)")
        assert left.fetchone() == (0,)


def test_a_database_that_cannot_be_reached_may_be_asked_later() -> None:
    nobody = "host=127.0.0.1 port=1 connect_timeout=1"
    with ConnectionPool(nobody, min_size=0, max_size=1, timeout=0.2) as pool, pytest.raises(RetryLater):
        PostgresVault(pool, OLD).get("cfg-1")


def test_a_database_without_the_tables_is_a_setting_to_mend(cluster: str) -> None:
    with fresh_database(cluster) as empty, ConnectionPool(empty, min_size=1) as pool:
        vault = PostgresVault(pool, OLD)
        with pytest.raises(Misconfigured, match="migrations"):
            vault.check()
