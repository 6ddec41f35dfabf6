"""Master keys from the setting and from the key file."""

from __future__ import annotations

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.vault.envelope import DataKey
from adapters.vault.keyring import KEY_FILE, VARIABLE, open_keyring, parse
from domain.errors import Misconfigured

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER = base64.b64encode(bytes(range(1, 33))).decode()


def test_the_first_key_encrypts_and_all_decrypt(tmp_path: Path) -> None:
    old = open_keyring(f"m1:{KEY}", tmp_path)
    both = open_keyring(f"m2:{OTHER}, m1:{KEY}", tmp_path)
    assert (old.newest.id, both.newest.id) == ("m1", "m2")
    wrapped = old.newest.wrap(DataKey.new("cfg-1"))
    assert both.unwrap("cfg-1", "m1", wrapped).owner == "cfg-1"
    assert not (tmp_path / KEY_FILE).exists()


@pytest.mark.parametrize(
    "value",
    [
        KEY,
        f":{KEY}",
        f"has space:{KEY}",
        f"{'x' * 65}:{KEY}",
        "m1:",
        "m1:not base64!",
        f"m1:{KEY[:-1]}",
        "m1:" + base64.b64encode(bytes(31)).decode(),
        "m1:" + base64.b64encode(bytes(33)).decode(),
        "m1:" + bytes(range(32)).hex(),
        f"m1:{KEY},m1:{OTHER}",
        f"m1:{KEY},m2:{KEY}",
        f"m1:{KEY};m2:{OTHER}",
        f"m1:{KEY[:-2]}é=",
        ",",
    ],
)
def test_a_setting_that_cannot_be_right_is_named_without_its_value(tmp_path: Path, value: str) -> None:
    with pytest.raises(Misconfigured, match=VARIABLE) as fault:
        open_keyring(value, tmp_path)
    told = str(fault.value) + repr(fault.value.__cause__)
    assert KEY[:8] not in told
    assert "not base64!" not in told


def test_the_first_start_makes_a_key_file_for_its_owner_alone_and_later_ones_use_it(tmp_path: Path) -> None:
    first = open_keyring("", tmp_path)
    again = open_keyring("  ", tmp_path)
    wrapped = first.newest.wrap(DataKey.new("cfg-1"))
    assert again.unwrap("cfg-1", first.newest.id, wrapped).owner == "cfg-1"
    file = tmp_path / KEY_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert list(file.parent.iterdir()) == [file]


def test_two_data_directories_get_different_keys(tmp_path: Path) -> None:
    open_keyring("", tmp_path / "one")
    open_keyring("", tmp_path / "two")
    assert (tmp_path / "one" / KEY_FILE).read_text() != (tmp_path / "two" / KEY_FILE).read_text()


def test_processes_starting_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        ids = {ring.newest.id for ring in threads.map(lambda _: open_keyring("", tmp_path), range(16))}
    assert len(ids) == 1


def test_a_key_added_on_top_of_the_file_becomes_the_newest(tmp_path: Path) -> None:
    first = open_keyring("", tmp_path).newest.id
    file = tmp_path / KEY_FILE
    file.write_text(f"m2:{OTHER}\n" + file.read_text())
    ring = open_keyring("", tmp_path)
    assert ring.newest.id == "m2"
    assert first in repr(ring)


def test_a_key_file_open_to_others_is_refused(tmp_path: Path) -> None:
    open_keyring("", tmp_path)
    (tmp_path / KEY_FILE).chmod(0o640)
    with pytest.raises(Misconfigured, match="mode to 600"):
        open_keyring("", tmp_path)


@pytest.mark.parametrize("content", [b"", b"\n", b"m1\n", b"\xff\xfe\x00"])
def test_a_broken_key_file_is_named_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / KEY_FILE
    file.parent.mkdir()
    file.touch(mode=0o600)
    file.write_bytes(content)
    with pytest.raises(Misconfigured, match=r"master\.keys"):
        open_keyring("", tmp_path)
    assert file.read_bytes() == content


def test_a_data_directory_that_cannot_be_used_is_a_setting_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured):
        open_keyring("", tmp_path / "file")


def test_a_missing_and_a_wrong_master_key_are_told_apart() -> None:
    wrapped = parse(f"m1:{KEY}", VARIABLE).newest.wrap(DataKey.new("cfg-1"))
    with pytest.raises(Misconfigured, match="'m1', which isn't there"):
        parse(f"m2:{KEY}", VARIABLE).unwrap("cfg-1", "m1", wrapped)
    with pytest.raises(Misconfigured, match="'m1' isn't the one"):
        parse(f"m1:{OTHER}", VARIABLE).unwrap("cfg-1", "m1", wrapped)


def test_a_keyring_shows_only_ids() -> None:
    assert repr(parse(f"m2:{OTHER},m1:{KEY}", VARIABLE)) == "Keyring(m2, m1)"
