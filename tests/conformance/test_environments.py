"""Where pip can't make a client's environment, its tests learn why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance import environments


@pytest.mark.timeout(400)  # on a busy machine a virtual environment takes its time
def test_a_client_that_cannot_be_installed_is_unavailable_for_pips_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "FOLDER", tmp_path / "clients")
    monkeypatch.setattr(environments, "REQUIREMENTS", tmp_path)
    monkeypatch.setattr(environments, "_failed", {})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (tmp_path / "nobody.txt").write_text("a-client-of-nobody==1.0\n")
    for _ in range(2):  # the second time without trying again
        with pytest.raises(environments.Unavailable, match=r"pip can't install nobody.txt: ERROR: No matching"):
            environments.interpreter("nobody", 300.0)
    (folder,) = [path for path in (tmp_path / "clients").iterdir() if path.is_dir()]
    assert not (folder / "complete").exists(), "a later run tries again"
