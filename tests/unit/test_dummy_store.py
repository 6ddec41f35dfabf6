"""The store that keeps nothing: row H02 of the contract."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from adapters.clock import SystemClock
from adapters.file_store.dummy import DummyStore
from application.ports.file_store import Stored
from domain.errors import InvalidInput, NotFound


def test_h02_the_key_is_the_md5_the_size_0_and_the_link_empty(tmp_path: Path) -> None:
    store = DummyStore(tmp_path, clock=SystemClock())
    with store.staging() as staging:
        staging.write(b"some bytes")
        stored = store.keep(staging.finish(), "tst//x.fits", filename="x.fits")
    assert stored == Stored(path="tst/x.fits", key=hashlib.md5(b"some bytes").hexdigest())
    assert store.size(stored.path, stored.key) == 0
    assert store.url(stored.path, stored.key, filename="x.fits") == ""
    store.delete(stored.path, stored.key)
    assert not [entry for entry in tmp_path.rglob("*") if entry.is_file() and entry.name != "lock"]


def test_h02_it_has_nothing_to_read_and_takes_no_path_that_others_refuse(tmp_path: Path) -> None:
    store = DummyStore(tmp_path, clock=SystemClock())
    with pytest.raises(NotFound):
        store.open("tst/x.fits", "key")
    with store.staging() as staging, pytest.raises(InvalidInput):
        store.keep(staging.finish(), "../x.fits", filename="x.fits")
