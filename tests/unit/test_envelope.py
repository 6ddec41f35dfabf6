"""The envelope: what opens, what must not, and what must not be seen."""

from __future__ import annotations

import os

import pytest

from adapters.vault.envelope import CannotOpen, DataKey, MasterKey


@pytest.fixture
def data_key() -> DataKey:
    return DataKey.new("cfg-1")


def test_a_sealed_secret_opens_in_its_place_and_hides_its_text(data_key: DataKey) -> None:
    nonce, ciphertext = data_key.seal("refresh_token", 3, "grüße 🔭")
    assert data_key.open("refresh_token", 3, nonce, ciphertext) == "grüße 🔭"
    assert "grüße".encode() not in ciphertext


def test_sealing_twice_gives_different_bytes(data_key: DataKey) -> None:
    assert data_key.seal("a", 1, "x") != data_key.seal("a", 1, "x")


@pytest.mark.parametrize(("field", "version"), [("app_secret", 3), ("refresh_token", 2), ("refresh_token", 4)])
def test_s21_a_secret_moved_to_another_field_or_version_fails_to_open(
    data_key: DataKey, field: str, version: int
) -> None:
    nonce, ciphertext = data_key.seal("refresh_token", 3, "secret")
    with pytest.raises(CannotOpen):
        data_key.open(field, version, nonce, ciphertext)


def test_s21_a_secret_moved_to_another_owner_fails_to_open_even_with_the_same_data_key() -> None:
    raw = os.urandom(32)
    nonce, ciphertext = DataKey("cfg-1", raw).seal("token", 1, "secret")
    with pytest.raises(CannotOpen):
        DataKey("cfg-2", raw).open("token", 1, nonce, ciphertext)


def test_where_one_name_ends_and_the_next_begins_is_bound_too() -> None:
    raw = os.urandom(32)
    nonce, ciphertext = DataKey("ab", raw).seal("c", 1, "secret")
    with pytest.raises(CannotOpen):
        DataKey("a", raw).open("bc", 1, nonce, ciphertext)


@pytest.mark.parametrize("position", [0, -1])
def test_a_changed_bit_fails_to_open(data_key: DataKey, position: int) -> None:
    nonce, ciphertext = data_key.seal("token", 1, "secret")
    changed = bytearray(ciphertext)
    changed[position] ^= 1
    with pytest.raises(CannotOpen):
        data_key.open("token", 1, nonce, bytes(changed))
    with pytest.raises(CannotOpen):
        data_key.open("token", 1, b"", ciphertext)


def test_a_data_key_opens_only_with_its_master_key_its_id_and_its_owner(data_key: DataKey) -> None:
    raw = os.urandom(32)
    master = MasterKey("m1", raw)
    wrapped = master.wrap(data_key)
    nonce, ciphertext = data_key.seal("token", 1, "secret")
    assert master.unwrap("cfg-1", wrapped).open("token", 1, nonce, ciphertext) == "secret"
    for key, owner in ((MasterKey("m2", raw), "cfg-1"), (MasterKey("m1", os.urandom(32)), "cfg-1"), (master, "cfg-2")):
        with pytest.raises(CannotOpen):
            key.unwrap(owner, wrapped)
    with pytest.raises(CannotOpen):
        master.unwrap("cfg-1", b"")


def test_keys_show_only_their_names() -> None:
    raw = b"0123456789abcdef0123456789abcdef"
    assert repr(MasterKey("m1", raw)) == "MasterKey('m1')"
    assert repr(DataKey("cfg-1", raw)) == "DataKey('cfg-1')"
